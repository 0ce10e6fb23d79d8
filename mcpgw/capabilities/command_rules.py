"""Commands whose code would contain an input: `sh -c "echo {text}"` runs whatever a caller writes.

A command runs without a shell, so an input is one argument, whatever it contains. That is lost if
the program is an interpreter and the input is part of its code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import attrs

from mcpgw.capabilities.templating import as_text, placeholders

_SHELLS: Final = frozenset(
    {"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "csh", "tcsh", "fish", "rbash", "yash"}
    | {"elvish", "nu", "xonsh", "osh"}
)
_PYTHONS: Final = frozenset({"python", "pypy", "ipython", "pythonw", "py"})
_NODES: Final = frozenset({"node", "nodejs", "bun", "ts-node", "tsx"})
_POWERSHELLS: Final = frozenset({"powershell", "pwsh"})
_SESSIONS: Final = frozenset({"su", "runuser", "script", "flock", "npx", "npm"})
_LAUNCHERS: Final = frozenset({*_SESSIONS, "tar", "gtar", "bsdtar", "rsync", "sort"})
"""Programs that are no interpreters, but have an option that runs a line by a shell."""
_EDITORS: Final = frozenset({"vim", "vi", "nvim", "ex", "view"})
_DATABASES: Final = frozenset({"psql", "mysql", "mariadb"})
"""Clients of databases whose statements can start a program (`\\!`)."""
_FLAGS: Final[Mapping[str, re.Pattern[str]]] = {
    program: re.compile(pattern)
    for programs, pattern in (
        (_SHELLS, r"[-+][A-Za-z]*c|--(?:init-)?command(?:=.*)?|-C"),
        (_PYTHONS, r"-[A-Zabd-ln-z]*c.*"),
        (_NODES, r"-[a-z]*[ep]|--(?:eval|print)(?:=.*)?"),
        (("perl",), r"-(?![MmIFC])[A-Za-z0-9]*[eE].*"),
        (("ruby",), r"-(?![rIC])[A-Za-z0-9]*e.*"),
        (("php",), r"-[rBRE].*|--(?:run|process-(?:begin|code|end))(?:=.*)?"),
        (("lua", "luajit", "julia", "elixir", "groovy", "scala"), r"-[eE].*|--eval(?:=.*)?"),
        (("r", "rscript", "osascript", "guile", "emacs", "sbcl"), r"-e.*|--?eval(?:=.*)?|-c"),
        (_POWERSHELLS, r"(?i)[-/](?:c|com\w*|e|ec|en\w*)(?::.*)?"),
        (("cmd",), r"(?i)/[a-z:]*[ckr].*"),
        (("expect", "tclsh", "wish"), r"-c.*"),
        (("deno",), r"eval"),
        (_SESSIONS, r"-[A-Za-z]*c|--(?:session-)?command(?:=.*)?|--call(?:=.*)?"),
        (
            ("tar", "gtar", "bsdtar"),
            (
                r"-[A-HJ-Za-z]*[IF].*|--(?:to-command|use-compress|checkpoint-a|rsh-c|rmt-c|info-s"
                r"|new-volume-s)[a-z-]*(?:=.*)?"
            ),
        ),
        (("rsync",), r"-[A-Za-z]*e.*|--(?:rsh|rsync-path)(?:=.*)?"),
        (("sort",), r"--compress-p[a-z-]*(?:=.*)?"),
        (("git",), r"-c|--config-env(?:=.*)?|--exec-path=.*"),
        (("ghci", "ghc", "gdb", "lldb"), r"-e.*|--?(?:ex|eval-command|one-line)(?:=.*)?|-o"),
        (_EDITORS, r"-[cS].*|\+.*|--cmd"),
        (_DATABASES, r"-[ce].*|--(?:command|execute)(?:=.*)?"),
    )
    for program in programs
}
"""By program, the options whose value, attached or in the next word, is code."""
_SHELL_LINE: Final = frozenset(
    {"eval", "ssh", "mosh", "rsh", "watch", "parallel", "tmux", "make", "gmake"}
)
"""Programs that make a line for a shell of their arguments."""
_FIRST_IS_CODE: Final = frozenset({"awk", "gawk", "mawk", "nawk", "sed", "gsed"})
"""Programs whose first argument is code that can run commands."""
_REST_IS_CODE: Final = frozenset({*_POWERSHELLS, "cmd", "deno"})
"""Interpreters that take all further words as code."""
_CODE_FROM_STDIN: Final = frozenset({"at", "batch"})
_RUNNERS: Final = frozenset(
    {"docker", "podman", "nerdctl", "kubectl", "oc", "lxc", "incus", "uv", "uvx", "pipx", "poetry"}
    | {"hatch", "conda", "mamba", "bunx", "direnv", "ssh", "rsh"}
)
"""Programs with operands of their own before the program that they run."""
_WRAPPERS: Final = frozenset(
    {"env", "sudo", "doas", "nice", "nohup", "timeout", "time", "stdbuf", "setsid", "ionice"}
    | {"xargs", "exec", "command", "busybox", "unbuffer", "chroot", "unshare", "nsenter"}
)
"""Programs that run the program that their first plain word names."""
_VALUED: Final[Mapping[str, frozenset[str]]] = {
    program: frozenset(options.split())
    for programs, options in (
        (_SHELLS, "--rcfile --init-file -o -O +o +O"),
        (_PYTHONS, "-W -X"),
        (_NODES, "-r --require --import --loader -C"),
        (("perl", "ruby"), "-I -r -C"),
        (("php",), "-d -z"),
        (_POWERSHELLS, "-executionpolicy -ep -ex -version -windowstyle"),
        (("awk", "gawk", "mawk", "nawk"), "-F -v"),
        (("ssh", "mosh", "rsh"), "-p -i -l -o -F -J -L -R -D -b -c -e -m -S -w -W -E -B -I -O"),
        (("watch",), "-n --interval"),
        (("parallel",), "-j --jobs"),
        (("env",), "-u --unset -C"),
        (("sudo", "doas"), "-u -g -h -p -C -D -R -T -U"),
        (("nice", "ionice"), "-n -c -p"),
        (("timeout",), "-k -s"),
        (("stdbuf",), "-i -o -e"),
        (("xargs",), "-I -L -P -n -d -s -E -a"),
        (("git",), "-C --git-dir --work-tree --namespace"),
        (("tmux",), "-L -S -f -t -n -s -c -x -y"),
        (("make", "gmake"), "-C -f -I -j -l -o -W"),
        (("docker", "podman", "nerdctl"), "-e -u -w --env --user --workdir --name --network"),
        (("kubectl", "oc"), "-n -c --namespace --container --context"),
        (("sqlite3",), "-separator -newline -nullvalue -init"),
    )
    for program in programs
}
"""By program, the options whose value is the next word and not code."""
_RUN_BY_FIND: Final = ("-exec", "-execdir", "-ok", "-okdir")
_VERSION: Final = re.compile(r"[0-9][0-9.]*$")
FIX: Final = (
    "Pass the input as an argument of its own, which the code reads:"
    " [sh, -c, 'echo \"$1\"', sh, \"{text}\"], or [python, -c, 'import sys; print(sys.argv[1])',"
    ' "{text}"].'
)
STDIN_FIX: Final = "Name a script in `command`; it can read the input from stdin."


@attrs.frozen
class CommandProblem:
    """A command that must not run.

    Args:
      key: the key of the settings, `command` or `stdin`.
      index: the place of the word in the command.
      message: what is wrong.
      hint: how to correct it.
    """

    key: str
    index: tuple[int, ...]
    message: str
    hint: str


@attrs.frozen
class _Word:
    index: tuple[int, ...]
    text: str
    filled: bool
    """True if it contains an input."""


def code_from_inputs(command: Sequence[Any], stdin: str = "") -> CommandProblem | None:
    """Return the problem of a command in whose code an input would be, None without one.

    Args:
      command: the words of a command, as in a capability file.
      stdin: the template of its standard input.
    """
    words = _words(command)
    if any(placeholders(stdin)):
        words = _with_lines(words)
    programs = _programs(words)
    for place, word in enumerate(words):
        program = _program(word.text)
        rest = words[place + 1 :]
        if place in programs:
            code = _code_of(program, rest)
        elif words[place - 1].text in _RUN_BY_FIND and word.filled:
            program, code = "find", word
        else:
            # A word that is only called like a program (`kubectl get node`) has no such option.
            code = _option_code(program, rest, script=False)
        if code is not None:
            message = (
                f"CAP-005: {code.text!r:.80} is code of {program}, so an input in it could run"
                " any command"
            )
            return CommandProblem("command", code.index, message, FIX)
        runs = place in programs or any(_program(each.text) in _RUNNERS for each in words[:place])
        if runs and _reads_code(program, rest) and any(placeholders(stdin)):
            message = f"CAP-005: {program} runs what it reads from stdin, so no input may be in it"
            return CommandProblem("stdin", (), message, STDIN_FIX)
    return None


def _with_lines(words: list[_Word]) -> list[_Word]:
    """Mark the words into which `xargs -I` puts lines of stdin, which contains an input."""
    names = [_program(word.text) for word in words]
    if "xargs" not in names:
        return words
    start = names.index("xargs") + 1
    mark = ""
    for place in range(start, len(words)):
        text = words[place].text
        if text in ("-I", "--replace") and place + 1 < len(words):
            mark = words[place + 1].text if text == "-I" else "{}"
        elif found := re.match(r"(?:-I|-i|--replace=)(.*)", text):
            mark = found[1] or "{}"
    if not mark:
        return words
    return [
        attrs.evolve(word, filled=word.filled or (place >= start and mark in word.text))
        for place, word in enumerate(words)
    ]


def _programs(words: Sequence[_Word]) -> set[int]:
    """Return the places of the words that are run: the first, and those after wrappers."""
    found: set[int] = set()
    place = 0
    while place < len(words) and place not in found:
        found.add(place)
        program = _program(words[place].text)
        if program not in _WRAPPERS:
            break
        place = len(words) - len(_wrapped_words(program, words[place + 1 :]))
    return found


def _code_of(program: str, rest: Sequence[_Word]) -> _Word | None:
    """Return the word with an input that a program takes as code, or runs."""
    if program in _SHELL_LINE:
        return _line_code(program, rest)
    if program in _FIRST_IS_CODE:
        return _first_code(program, rest)
    if program in _WRAPPERS:
        return _wrapped(program, rest)
    if program == "sqlite3" and not any(word.text == "-safe" for word in rest):
        return next((word for word in _operands(program, rest)[1:] if word.filled), None)
    return _option_code(program, rest, script=True)


def _words(command: Sequence[Any]) -> list[_Word]:
    """Return the words of a command; those of optional groups as if all were given."""
    found: list[_Word] = []
    for number, item in enumerate(command):
        inner = item if isinstance(item, list) else [item]
        for place, each in enumerate(inner):
            if isinstance(each, Mapping) and set(each) == {"when"}:
                continue
            index = (number, place) if isinstance(item, list) else (number,)
            value = each["json"] if isinstance(each, Mapping) and set(each) == {"json"} else each
            text = as_text(value)
            inputs = any(part.secret is None for part in placeholders(value))
            found.append(_Word(index, text, inputs))
    return found


def _program(text: str) -> str:
    """Return the name of a program without its folder, version and suffix."""
    name = re.split(r"[/\\]", text)[-1].lower().removesuffix(".exe")
    bare = _VERSION.sub("", name).rstrip("-")
    return bare if bare in _FLAGS or bare in _FIRST_IS_CODE else name


def _option_code(program: str, rest: Sequence[_Word], *, script: bool) -> _Word | None:
    """Return the word with an input that an interpreter takes as code.

    Args:
      program: the interpreter.
      rest: the words after it.
      script: whether the first operand is a script, which no input may name either.
    """
    pattern = _FLAGS.get(program)
    if pattern is None:
        return None
    place = 0
    while place < len(rest):
        word, after = rest[place], rest[place + 1 :]
        place += 1
        if pattern.fullmatch(word.text):
            if word.filled:
                return word
            if program in _REST_IS_CODE:
                return next((each for each in after if each.filled), None)
            # Further options may come between `-c` and the code of a shell.
            code = _operands(program, after) if program in _SHELLS else after
            if code and code[0].filled:
                return code[0]
            if program in _SHELLS or program in _PYTHONS:
                return None  # what follows are arguments of the code
            place += 1
            script = False
        elif word.text.startswith(("-", "+", "/")) or (
            place > 1 and _takes_value(program, rest[place - 2].text)
        ):
            continue
        elif program in _POWERSHELLS and script and not _names_file(rest[: place - 1]):
            return next((each for each in rest if each.filled), None)
        elif program not in _LAUNCHERS and program not in _DATABASES:
            return word if word.filled and script else None
    return None


def _takes_value(program: str, option: str) -> bool:
    """Return whether the word after an option is its value."""
    valued = _VALUED.get(program, frozenset())
    return option in valued or (program in _POWERSHELLS and option.lower() in valued)


def _names_file(options: Sequence[_Word]) -> bool:
    """Return whether the last option of PowerShell is `-File`; otherwise a command follows."""
    return bool(options) and options[-1].text.lower() in ("-file", "-f", "/file")


def _line_code(program: str, rest: Sequence[_Word]) -> _Word | None:
    if program in ("ssh", "mosh", "rsh"):
        for before, word in pairwise(rest):
            if word.filled and before.text == "-o":
                return word
        if option := next((w for w in rest if w.filled and w.text.startswith("-o")), None):
            return option
        words = _operands(program, rest)[1:]  # the first operand is the host
    else:
        words = _operands(program, rest)
    return next((each for each in words if each.filled), None)


def _first_code(program: str, rest: Sequence[_Word]) -> _Word | None:
    options = False
    for place, word in enumerate(rest):
        if re.fullmatch(r"-[a-zA-Z]*[ef]|--(?:expression|source|file)", word.text):
            options = True
            code = rest[place + 1 : place + 2]
            if code and code[0].filled:
                return code[0]
        elif re.match(r"-[a-zA-Z]*[ef].|--(?:expression|source|file)=", word.text):
            options = True
            if word.filled:
                return word
    operands = _operands(program, rest)
    return operands[0] if operands and operands[0].filled and not options else None


def _wrapped(program: str, rest: Sequence[_Word]) -> _Word | None:
    """Return the word that names the program of a wrapper, if it contains an input."""
    for before, word in pairwise(rest):
        if word.filled and before.text in ("-S", "--split-string"):
            return word
    if split := next((w for w in rest if w.filled and re.match(r"-S.|--split-s", w.text)), None):
        return split
    words = _wrapped_words(program, rest)
    return words[0] if words and words[0].filled else None


def _reads_code(program: str, rest: Sequence[_Word]) -> bool:
    """Return whether a program reads its code from stdin: it has no code and no script."""
    if program in _CODE_FROM_STDIN:
        return True
    if program in ("ssh", "rsh"):
        return len(_operands(program, rest)) == 1  # only the host: its shell reads stdin
    if program not in _FLAGS or program in _LAUNCHERS:
        return False
    if any(_FLAGS[program].fullmatch(word.text) for word in rest):
        return False
    if program in _SHELLS and any(re.fullmatch(r"-[a-z]*s[a-z]*", word.text) for word in rest):
        return True
    if program in _PYTHONS and any(word.text.startswith("-m") for word in rest):
        return False
    operands = [word for word in rest if not word.text.startswith("-") or word.text == "-"]
    return program in _DATABASES or not operands or operands[0].text == "-"


def _operands(program: str, words: Sequence[_Word]) -> list[_Word]:
    """Return the words from the first one on that is neither an option nor its value."""
    valued = _VALUED.get(program, frozenset())
    for place, word in enumerate(words):
        is_value = place > 0 and words[place - 1].text in valued
        if word.text != "--" and not word.text.startswith(("-", "+")) and not is_value:
            return list(words[place:])
    return []


def _wrapped_words(program: str, rest: Sequence[_Word]) -> list[_Word]:
    """Return the command that a wrapper runs."""
    words = _operands(program, rest)
    while words and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", words[0].text):
        words = words[1:]
    return words[1:] if program in ("timeout", "chroot") else words
