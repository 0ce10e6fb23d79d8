"""Detection rules for poisoned definitions, written as sequences of meanings.

A sequence alternates meanings (`READ|PASS`) and the number of words allowed between them (`8`, or
`~8` if the sentence may end in between). A rule with `unless` does not start after one of those
meanings in the same sentence ("do not run this without asking the user").
"""

from __future__ import annotations

import functools
import itertools
import operator

import attrs

from mcpgw.trust.poisoning.concepts import BITS
from mcpgw.trust.poisoning.findings import Severity

HIGH, MEDIUM = Severity.HIGH, Severity.MEDIUM


@attrs.frozen
class Step:
    """One meaning of a sequence: its bits, and its greatest distance from the previous step."""

    mask: int
    reach: int
    crosses: bool


@attrs.frozen(eq=False)
class Rule:
    """One malicious intent and how it is reported."""

    severity: Severity
    category: str
    reason: str
    unless: int = attrs.field(kw_only=True, default=0)


@attrs.frozen(eq=False)
class Sequence:
    """One way to express the intent of a rule; `required` are bits that some step must have."""

    rule: Rule
    steps: tuple[Step, ...]
    required: int = attrs.field(init=False)

    @required.default
    def _required(self) -> int:
        alone = [step.mask for step in self.steps if step.mask.bit_count() == 1]
        return functools.reduce(operator.or_, alone, 0)


_OVERRIDE = (
    "OVERRIDE 4 PRIOR 4 RULES",
    "OVERRIDE 5 RULES 4 PRIOR",
    "OVERRIDE 3 YOUR 3 RULES|SYSPROMPT",
    "OVERRIDE 2 ALL 2 INSTRUCTIONS",
    "OVERRIDE 5 SYSPROMPT 6 SAID|RULES|USER",
    "OVERRIDE 2 PRIOR 2 SYSPROMPT",
    "SKIP 2 RULES 5 SYSTEM|SAFETY",
    "OVERRIDE 1 EVERYTHING 8 PRIOR",
    "OVERRIDE 1 EVERYTHING 4 SAID",
    "PRIOR 6 RULES 5 OVERRIDE",
    "RULES 5 OVERRIDE 3 PLEASE|MUST",
    "NEG 2 OBEY 3 PRIOR|YOUR 3 RULES",
    "NEG 1 ATTENTION 3 RULES",
    "PRIOR|SYSPROMPT 3 RULES 3 NEG 1 LONGER",
    "RULES|SYSPROMPT 6 PRIOR 2 VOID|REPLACED",
    "RULES|ORDER 6 VOID 4 PRECEDENCE|SYSPROMPT|THIS",
    "SYSPROMPT 4 REPLACED",
    "PRECEDENCE 3 OVER 2 SYSPROMPT|PRIOR",
    "OBEYSTRICT 3 THIS",
    "RULES|ORDER 3 PRIOR 3 VOID",
    "PRIOR 2 RULES|ORDER 2 NEG 1 LONGER 1 APPLY",
)
_SECRECY = (
    "NEG 2 TELL 6 USER",
    "NEG 2 TELL 1 THAT 1 YOU",
    "NEG 3 LET 2 USER 2 TOLD",
    "USER 4 NEG 4 TOLD",
    "USER 2 NEG 4 TOLD",
    "NEG 4 USER 2 TELL|TOLD",
    "USER 3 TELL 2 NEG",
    "USER 4 NEG 3 TELL",
    "NEG 2 USER 4 TELL",
    "NEG 6 TELL 4 USER",
    "HIDE 3 IT 4 FROM 2 USER",
    "HIDE 3 FROM 2 USER",
    "HIDE 1 USER",
    "KEEP 3 BETWEENUS",
    "NEG 2 TELLING 3 USER",
    "DENY 2 THAT 2 YOU 3 READ|SEND|PASS",
)
_UNKNOWING = ("WITHOUT 2 TELLING 4 USER", "WITHOUT 2 TELLING 0 IT", "WITHOUT 2 USER 2 TELLING")
_FILES = (
    "READ 6 SECRETFILE ~14 PASS 8 IN|PARAM|CONTENT",
    "READ 6 SECRETFILE ~12 SEND",
    "MUST|ALWAYS|PLEASE|MODEL|FIRST|BEFORE 6 READ|EXECUTE 6 SECRETFILE",
    "READ|EXECUTE 6 SECRETFILE 3 FIRST",
    "BEFORE 6 USE 6 READ|EXECUTE 6 SECRETFILE",
    "PASS|SEND 6 CONTENT 6 SECRETFILE 5 IN|PARAM|URL",
    "SECRETFILE ~8 CONTENT 2 MUST 3 IN|PASS",
    "SECRETFILE ~6 PASS 3 CONTENT 4 IN",
    "SECRETFILE 4 CONTENT 6 IN 4 PASS",
    "READ 4 SECRETFILE 8 CONTENT 3 IN 4 PASS",
    "CONTENT 3 READING 4 SECRETFILE",
    "SEND 6 SECRETFILE ~6 URL|OURSERVER|EMAIL",
)


_SINK = "URL|OURSERVER|EMAIL"
_HELD = "CONV|SECRETDATA|SYSPROMPT|ENV"
_EXFILTRATION = (
    f"SEND 8 {_HELD} 8 {_SINK}",
    f"SEND 3 USERS 3 PRIVATE 8 {_SINK}",
    f"SEND 3 WHOLE 4 PRIVATE|CONV 6 {_SINK}",
    f"{_SINK} 5 {_HELD} 3 SEND",
    f"{_HELD} 6 {_SINK} 3 SEND",
    f"USERS 4 PRIVATE 4 {_SINK} 4 SEND",
    f"READ 4 SECRETDATA 4 SEND 4 {_SINK}",
    "PASS|SEND 3 EVERYTHING 3 USER 2 SAID",
    "CONTENT|PARAM 6 MUST 3 HOLD 4 EVERYTHING 4 USER 2 SAID",
    "PARAM 6 MUST 4 HOLD 5 EVERYTHING 3 USER 3 SAID",
    "PASS|SEND 4 WHOLE 4 CONV",
    "PASS|SEND 5 CONV 3 SOFAR",
    "WHOLE 2 CONV 3 SOFAR",
    "CONV 2 SOFAR",
    "PASS|SEND 4 SYSPROMPT 5 SOFAR|SAID|YOU",
    "PASS|SEND 5 CONV 2 SOFAR|WHOLE",
    "PARAM 4 MUST 3 HOLD 4 USERS 3 SECRETDATA|CONV",
    "PASS 4 EVERYTHING 2 SECRETDATA 6 YOU 2 KNOW",
    "PASS 2 EVERYTHING 2 SECRETDATA 8 YOU 2 KNOW",
    "PASS|SEND 5 USERS 2 CONV 4 SOFAR",
    "PASS|SEND 4 USERS 2 SECRETDATA 4 OURSERVER|IN|URL",
    "MUST 4 PASS 5 SECRETDATA",
    "PASS 4 EVERY 2 ENV",
    "PASS|SEND 5 SECRETDATA 3 LINK 6 LINK",
    "ENCODE 3 CONV 8 LINK|PASS|MODIFY",
    "PRIOR 1 CONV 4 PASS 2 IN",
    "MODEL 4 READ 8 SECRETDATA 3 READ|PASS",
    "ALSO 2 CALL 2 NAME ~8 EMAIL|URL",
    "USER 3 CONV 4 IN 3 SEND",
)
_EXECUTION = (
    "EXECUTE|CALL|USE 8 PIPESHELL",
    "MUST|ALWAYS 6 PIPESHELL",
    "EXECUTE|USE 6 SECRETFILE ~12 PASS",
    "BEFORE 6 USE 8 MUST 3 EXECUTE 8 PASS",
    "MODIFY 12 SECRETFILE",
)
_SHADOWING = (
    "WHEN 6 NAME 3 CALLED ~5 MODIFY 8 TARGET|BCC|EMAIL|SECRETLY",
    "WHEN 6 NAME 3 CALLED ~5 MODIFY 6 BY|IN|FIRST",
    "WHEN 3 OTHER 3 SERVER 6 TARGET 6 MODIFY",
    "WHEN 3 OTHER 2 TOOL 4 CALLED ~3 MODIFY|CALL|PASS",
    "CALLED 2 OTHER 1 TOOL 4 MODIFY|PASS",
    "USE 2 OTHER 1 TOOL 4 MODIFY|PASS",
    "OTHER 1 TOOL 3 MUST 3 MODIFY|PASS|IN|BCC|EMAIL",
    "NAME 2 TOOL 2 MUST 3 SEND|PASS 5 EMAIL|ACCOUNT",
    "SEND 2 ALL 2 PRIVATE 3 EMAIL",
    "USE|CALL 2 NAME 3 MUST 3 MODIFY 4 TARGET",
    "NAME 3 TOOL ~4 MUST 4 MODIFY ~6 TARGET|EMAIL",
    "INSTEAD 2 USE 3 SERVER 3 USE|NAME",
    "NEG 2 USE|CALL 4 SERVER 6 TOOL",
    "SERVER 4 NAME 4 THIS 2 EVERY",
    "OTHER 1 TOOL 5 BAD",
    "TOOL 2 OTHER 2 SERVER 4 BAD",
    "EVERY 2 USE|CALL 2 NAME 4 SERVER ~2 MODIFY",
    "CALL 3 OTHER 2 TOOL 4 BAD",
    "TARGET 4 REPLACED|MODIFY 3 BY 2 ACCOUNT|EMAIL",
    "MODIFY 3 TARGET 6 BY 3 ACCOUNT|EMAIL",
    "WHEN 4 USER 2 ASKS 4 USE 1 NAME 2 SECRETLY",
    "THIS 2 INSTEAD 4 EVERY",
)
_PREFERENCE = (
    "STRICT 3 CALL 3 FIRST ~3 BEFORE 2 ALL|OTHER",
    "STRICT 3 CALL 3 FIRST ~3 OTHER 2 TOOL",
    "CALL 3 ALWAYS 4 FIRST",
    "CALL 3 THIS 3 ALWAYS 2 FIRST",
    "FIRST 4 CALL 4 THIS ~4 BEFORE|OTHER 3 OTHER|TOOL",
    "STRICT 3 FIRST 6 CALL ~4 OTHER 2 TOOL",
    "ALWAYS 4 BEFORE 2 OTHER 1 TOOL",
    "MUST 4 CALL 4 BEFORE 2 OTHER 0 TOOL",
    "BEFORE 2 ALL|OTHER 2 TOOL 3 CALL|USE 2 THIS|IT",
    "CALL|USE 4 BEFORE 2 EVERY 2 TURN",
    "CALL|USE 5 EVERY 2 EVERY 2 TURN",
    "CALL|USE 4 EVERY 2 TURN 4 MATTER|WHATEVER",
    "MUST 4 CALL|USE 4 IN 4 EVERY 2 TURN",
    "MUST 4 CALL|USE 4 BEFORE 2 EVERY 2 TURN",
    "EVERY 2 TURN 5 MUST 5 TOOL",
    "ALWAYS 2 PREFER 2 THIS 3 OVER 2 ALL 2 OTHER",
    "FIRST 6 TURN 4 MUST|HOLD 4 CALL",
)
_ROLE = (
    "YOU 2 NOW 4 SPECIALMODE 2 MODE",
    "YOU 2 NOW 4 UNBOUND",
    "ON 1 YOU 3 ACT|OBEY 6 UNBOUND|SPECIALMODE",
    "ACT 2 AS 3 UNBOUND",
    "ACT 3 THAT 2 USER 3 APPROVED",
    "USER 3 APPROVED 4 EVERYTHING",
    "MODEL 4 EXECUTE 3 WITHOUT 1 PERMISSION",
    "EXECUTE 5 WITHOUT 2 PERMISSION 3 USER",
    "NEG 1 ASK 2 USER 3 PERMISSION 3 BEFORE",
    "SKIP 4 PERMISSION 2 CHECKS",
    "TREAT 6 AS 3 ORDER 4 USER",
    "TREAT 8 ORDER 2 USER|SYSTEM",
    "NEW 1 SYSTEM 1 ORDER",
    "YOUR 1 NEW 1 TASK",
    "YOUR 1 NEW 1 RULES",
    "PERMISSION 3 NEG 2 ASK",
    "MUST 2 OBEYSTRICT",
    "SAFETY 2 CHECKS 3 OUT",
    "SECRETLY 4 OBEYSTRICT",
)
_TAMPERING = (
    "WHATEVER 5 USER 3 ASKS",
    "MATTER 3 USER 3 ASKS",
    "ALWAYS|MUST|ALSO|MODIFY 3 EMAIL 3 IN 1 BCC",
    "BCC 2 EMAIL",
    "EMAIL 4 IN 1 BCC",
    "SECRETLY 3 MODIFY|SEND|PASS|READ|TELL",
    "SECRETLY 2 BCC",
)


@functools.cache
def sequences() -> tuple[Sequence, ...]:
    """Return the sequences of all rules."""
    return tuple(itertools.chain.from_iterable(_rules()))


def _rules() -> tuple[list[Sequence], ...]:
    negated = BITS["NEG"]
    return (
        _rule(HIGH, "instruction-override", "cancels the instructions of the model", *_OVERRIDE),
        _rule(
            HIGH,
            "secrecy",
            "asks the model to keep something from the user",
            *_SECRECY,
        ),
        _rule(HIGH, "secrecy", "goes behind the user's back", *_UNKNOWING, unless=negated),
        _rule(HIGH, "credential-file", "asks for the contents of a file with secrets", *_FILES),
        _rule(HIGH, "exfiltration", "asks to pass on private data", *_EXFILTRATION),
        _rule(HIGH, "code-execution", "asks the model to run untrusted code", *_EXECUTION),
        _rule(HIGH, "tool-shadowing", "changes how other tools are used", *_SHADOWING),
        _rule(HIGH, "forced-use", "forces its own use in every task", *_PREFERENCE),
        _rule(HIGH, "role-play", "assigns the model another role or false permissions", *_ROLE),
        _rule(HIGH, "tampering", "changes what the user asked for", *_TAMPERING),
        _rule(
            MEDIUM,
            "secrecy",
            "may keep something from the user",
            "WITHOUT 2 TELLING|ASK 4 USER",
            "KEEP 2 QUIET",
            "NEG 4 REPORT 1 IT",
            "NEG 1 TELL 1 IT",
            "LEAVE 4 OUT 3 YOUR 1 TURN|REPORT",
            "DENY 2 THAT 2 YOU",
            "SILENT 3 SEND|PASS|BCC",
            unless=negated,
        ),
        _rule(
            MEDIUM,
            "credential-file",
            "reads or passes on a file with secrets",
            "READ 4 SECRETFILE ~12 PASS",
            "READ 8 PASS 1 CONTENT 0 AS",
            "PASS|SEND 4 SECRETFILE",
            "MODEL 10 SECRETFILE",
        ),
        _rule(
            MEDIUM,
            "exfiltration",
            "may pass on private data",
            f"SEND 4 {_HELD}",
            "SEND 3 PRIVATE 8 URL",
            "MUST 2 READ 2 URL",
            "MODIFY 6 EVERY 1 PRIVATE 1 YOU",
            "PASS 3 SYSPROMPT",
            "PASS|HOLD 4 WHOLE 3 CONV",
            "USERS 2 SECRETDATA 3 IN",
            "HOLD|PASS 3 SECRETDATA 8 USERS",
        ),
        _rule(
            MEDIUM,
            "forced-use",
            "asks to be used before other tools",
            "BEFORE 2 ALL|OTHER 2 TOOL",
            "FIRST 3 TURN 4 CALL",
        ),
        _rule(
            MEDIUM,
            "tool-shadowing",
            "comments on the use of other tools",
            "NEG 1 USE 3 OTHER 1 TOOL",
            "PREFER 3 OVER 3 OTHER",
        ),
        _rule(
            MEDIUM,
            "addresses-model",
            "gives orders to the model",
            "MODEL 2 MUST 6 READ|PASS|SEND|EXECUTE",
            "MODEL 3 OBEY",
            "NOW 1 ON 3 OBEYSTRICT|ACT",
        ),
    )


def _rule(
    severity: Severity, category: str, reason: str, *texts: str, unless: int = 0
) -> list[Sequence]:
    rule = Rule(severity, category, reason, unless=unless)
    return [Sequence(rule, _sequence(text)) for text in texts]


def _sequence(text: str) -> tuple[Step, ...]:
    words = text.split()
    steps = [Step(_mask(words[0]), 0, False)]
    for gap, names in zip(words[1::2], words[2::2], strict=True):
        reach = int(gap.removeprefix("~"))
        steps.append(Step(_mask(names), 2 * reach + 2, gap.startswith("~")))
    return tuple(steps)


def _mask(names: str) -> int:
    mask = 0
    for name in names.split("|"):
        mask |= BITS[name]
    return mask
