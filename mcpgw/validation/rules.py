"""Rules AX-001 to AX-010, each a function of one tool.

They differ from the reference implementation where that reports false positives: words are matched
as whole words; a verb may be anywhere in a name, and common prefixes of API operations (`get_`,
`list_`) have little effect; a list needs no pagination if an argument limits the result;
enumerations count as documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mcpgw.text.plural import plural
from mcpgw.validation.model import Result, ToolView, graded

RULES: Final[Mapping[str, tuple[str, str]]] = {
    "AX-001": ("outcome-names", "Name and description explain the outcome, not the API."),
    "AX-002": ("flat-arguments", "Arguments are plain values, not nested objects."),
    "AX-003": ("documentation", "Description, parameters and an example explain the use."),
    "AX-004": ("curated-output", "The result has only the necessary fields."),
    "AX-005": ("discoverable-name", "The name has words that users search for."),
    "AX-006": ("pagination", "Tools that list items support pagination."),
    "AX-007": ("schema-complete", "Each parameter has a type and a description."),
    "AX-008": ("conflicts", "The name cannot be confused with that of another tool."),
    "AX-009": ("consistent-naming", "Names have one style."),
    "AX-010": ("tool-poisoning", "No text tries to manipulate a model."),
}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CRUD: Final = _set("create read update delete get set list fetch retrieve insert remove add")
_VERBS: Final = _set(
    "search find send post convert translate summarize generate analyze check track book "
    "cancel schedule invite share download upload save export import compare calculate "
    "transcribe draw lookup query start stop run trigger list get create update delete add "
    "remove append read write modify attach comment call notify merge close open move copy "
    "publish subscribe"
)
_WRAPPER: Final = re.compile(
    r"\b(calls the (?:\w+ )?api|api endpoint|rest api|wrapper|proxy to|forwards to)\b",
    re.IGNORECASE,
)
_USE: Final = re.compile(r"\b(use|used|useful|when|for|before|after|if)\b", re.IGNORECASE)
_EVERYTHING: Final = re.compile(
    r"\b(all data|full response|entire response|everything)\b", re.IGNORECASE
)
_LISTING: Final = re.compile(r"(?:^|_)(list|search|find|query|browse)(?:_|$)")
_PAGING: Final = _set(
    "limit offset page cursor page_size pagesize per_page perpage max_results maxresults "
    "count page_token pagetoken first after rows start startat maxresults size take skip "
    "num_results starting_after amount"
)
_MORE: Final = _set(
    "total total_count has_more next_cursor page_info pageinfo nextpagetoken next count "
    "totalresults meta total_results numfound total_available next_page_token"
)
_VAGUE: Final = frozenset({"tool", "handler", "helper", "util", "utils", "misc"})
_GENERIC: Final = _set("search query find get fetch send create update delete")


def words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case, whatever its style."""
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def style_of(name: str) -> str:
    """Return the style of a name: snake, kebab, camel, dotted, mixed, or plain for one word."""
    marks = {"snake": "_" in name, "kebab": "-" in name, "dotted": "." in name}
    marks["camel"] = re.search(r"[a-z][A-Z]|^[A-Z]", name) is not None
    found = [style for style, there in marks.items() if there]
    return found[0] if len(found) == 1 else "mixed" if found else "plain"


def outcome_names(tool: ToolView) -> Result:
    """AX-001."""
    words, issues, score = words_of(tool.name), [], 1.0
    if found := _WRAPPER.search(tool.description):
        issues.append(f"the description is about the API ({found[0]!r}), not the outcome")
        score = 0.3
    elif words and words[0] in _CRUD and len(words) < 2:
        issues.append(f"{tool.name!r} is only the name of an operation")
        score = 0.7
    first = words_of(tool.description.split(".")[0])
    lead_words = (
        {w.removesuffix("s") for w in first} | {w.removesuffix("es") for w in first} | set(first)
    )
    if tool.description and not (lead_words | set(words)) & _VERBS and len(first) < 3:
        issues.append("neither name nor description explains the outcome")
        score = min(score, 0.7)
    return graded("AX-001", score, issues, "Start with the outcome.", ("description",))


def flat_arguments(tool: ToolView) -> Result:
    """AX-002."""
    nested = [
        name
        for name, each in tool.properties.items()
        if (each.get("type") == "object" and each.get("properties"))
        or (each.get("type") == "array" and _has_fields(each.get("items")))
    ]
    issues = [f"{name!r} has nested fields" for name in nested]
    score = 1.0 - 0.3 * len(nested)
    # Some APIs require nested arguments, so this never fails.
    return graded(
        "AX-002", max(score, 0.5), issues, "Turn its fields into arguments.", _input(nested)
    )


def _has_fields(items: Any) -> bool:
    return isinstance(items, Mapping) and items.get("type") == "object" and "properties" in items


def documentation(tool: ToolView) -> Result:
    """AX-003."""
    issues, score = [], 1.0
    if len(tool.description) < 50:
        issues.append(f"the description has only {plural(len(tool.description), 'character')}")
        score -= 0.3
    if tool.description and not _USE.search(tool.description):
        issues.append("the description does not explain when to use the tool")
        score -= 0.2
    bare = [
        n
        for n, each in tool.properties.items()
        if not each.get("description") and not each.get("enum")
    ]
    issues += [f"{name!r} has no description" for name in bare]
    score -= 0.15 * len(bare)
    schema = tool.definition.get("inputSchema")
    shown = tool.examples or (isinstance(schema, Mapping) and "examples" in schema)
    if tool.properties and not shown and "e.g." not in tool.description:
        issues.append("there is no example")
        score -= 0.1
    hint = "Explain the outcome and when to use the tool, in 50 characters or more."
    return graded("AX-003", score, issues, hint, ("description",), bounds=(0.5, 0.7, 0.95))


def curated_output(tool: ToolView) -> Result:
    """AX-004."""
    issues, score = [], 1.0
    if found := _EVERYTHING.search(tool.description):
        issues.append(f"the description promises {found[0]!r}")
        score -= 0.3
    count = len(tool.output or ())
    if count > 10:
        issues.append(f"the result has {count} fields")
        score -= 0.2 if count > 15 else 0.1
    return graded(
        "AX-004", score, issues, "Use response_path or transform.", ("schema", "output"),
        bounds=(0.0, 0.5, 0.8),
    )  # fmt: skip


def discoverable_name(tool: ToolView) -> Result:
    """AX-005."""
    words, issues, score = words_of(tool.name), [], 1.0
    if len(words) < 2:
        issues.append("the name is one word")
        score -= 0.4 if len(tool.name) < 5 else 0.2
    if len(tool.name) < 5:
        issues.append(f"the name has only {plural(len(tool.name), 'character')}")
        score -= 0.2
    if vague := _VAGUE & set(words):
        issues.append(f"{sorted(vague)[0]!r} in the name has no meaning")
        score -= 0.2
    if style_of(tool.name) == "mixed":
        issues.append("the name mixes styles")
        score -= 0.1
    return graded(
        "AX-005",
        score,
        issues,
        "Use a name such as weather_forecast.",
        ("name",),
        bounds=(0.0, 0.5, 0.9),
    )


def pagination(tool: ToolView) -> Result:
    """AX-006."""
    if not _LISTING.search("_".join(words_of(tool.name))):
        return graded("AX-006", 1.0, [])
    inputs = {re.sub(r"[^a-z]", "", name.lower()) for name in tool.properties}
    issues, score = [], 1.0
    if not inputs & {re.sub(r"[^a-z]", "", word) for word in _PAGING}:
        issues.append("there is no argument such as limit, page or cursor")
        score -= 0.5
    if tool.output is None:
        issues.append("there is no output schema")
        score -= 0.2
    elif not {name.lower() for name in tool.output} & _MORE and "result" not in tool.output:
        issues.append("the result does not indicate whether there are more items")
        score -= 0.2
    # Some APIs do not support pagination, so this never fails.
    return graded(
        "AX-006", max(score, 0.5), issues, "Add `limit` and `cursor`.", ("schema", "input")
    )


def schema_complete(tool: ToolView) -> Result:
    """AX-007."""
    bare = [
        name
        for name, each in tool.properties.items()
        if not {"type", "enum", "const", "anyOf", "oneOf", "$ref"} & each.keys()
    ]
    silent = [
        n
        for n, each in tool.properties.items()
        if not (each.get("description") or each.get("enum"))
    ]
    issues = [f"{name!r} has no type" for name in bare]
    issues += [f"{name!r} has no description" for name in silent]
    count = max(1, len(tool.properties))
    score = 1.0 - (0.6 * len(bare) + 0.4 * len(silent)) / count
    return graded("AX-007", score, issues, "`validate --fix` adds types.", _input([*bare, *silent]))


def conflicts(tool: ToolView) -> Result:
    """AX-008, for a single tool."""
    issues = [f"{tool.name!r} is too generic"] if tool.name.lower() in _GENERIC else []
    score = 0.6 if issues else 1.0
    return graded("AX-008", score, issues, "Add a noun, such as search_recipes.", ("name",))


def consistent_naming(tool: ToolView) -> Result:
    """AX-009, for a single tool."""
    style = style_of(tool.name)
    if style == "mixed":
        issue = [f"{tool.name!r} mixes styles"]
        return graded("AX-009", 0.5, issue, "Use snake_case.", ("name",))
    if style in ("kebab", "camel", "dotted"):
        issue = [f"{tool.name!r} is not snake_case"]
        return graded("AX-009", 0.8, issue, "`validate --fix` renames it.", ("name",))
    return graded("AX-009", 1.0, [])


def poisoning(tool: ToolView) -> Result:
    """AX-010, by the scanner that also vets the definitions of servers."""
    from mcpgw.capabilities.scanning import scan_capability

    sure, doubtful = scan_capability(tool.definition, tool.document, quote=True)
    issues = [f"[HIGH] {text}" for text in sure] + [f"[MEDIUM] {text}" for text in doubtful]
    score = 0.0 if sure else 0.5 if doubtful else 1.0
    return graded("AX-010", score, issues, "Remove the text.", ("description",))


def _input(names: list[str]) -> tuple[str | int, ...]:
    return ("schema", "input", "properties", names[0]) if names else ("schema", "input")


SINGLE: Final = (
    *(outcome_names, flat_arguments, documentation, curated_output, discoverable_name),
    *(pagination, schema_complete, conflicts, consistent_naming, poisoning),
)
