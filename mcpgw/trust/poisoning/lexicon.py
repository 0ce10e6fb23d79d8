"""Lookup of word meanings, for a whole text at once and for each of its words in order."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Iterator

import attrs

from mcpgw.trust.poisoning import concepts
from mcpgw.trust.poisoning.folding import SEGMENT, skeleton

WORD = re.compile(r"[^\W_]+")
_DIGITS = str.maketrans("0134579", "oleastg")
_OTHER_ONE = str.maketrans("0134579", "oieastg")
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SPECIAL = {
    "SECRETFILE": (
        r"(?<!\w)\.ssh(?![\w])(?:[/\\][\w.*-]{1,64}){0,4}|"
        r"\bid_(?:rsa|ed25519|ecdsa|dsa)\b(?!\.pub)|"
        r"\.aws[/\\](?:credentials|config)\b|"
        r"(?<![\w)\]}])\.env(?:\.(?:local|prod|production|dev|development|staging))?(?!\w|\.\w|-)|"
        r"/etc/(?:passwd|shadow|sudoers|ssh)\b|/proc/\w{1,20}/environ\b|\.cursor[/\\]\w|"
        r"(?<!\w)\.(?:netrc|npmrc|pypirc|pgpass|git-credentials|bash_history|zsh_history|bashrc|"
        r"zshrc|gnupg)\b|/root/[\w.]|/var/log/\w|"
        r"\.kube[/\\]config\b|\.docker[/\\]config|\.config[/\\](?:gh|gcloud)\b|"
        r"\bclaude_desktop_config\b|\bmcp\.json\b|\bauthorized_keys\b|\blogin data\b|"
        r"\bsaved passwords\b|\bkeychain\b|\bwallet(?:\.dat| file)\b|"
        r"\bssh (?:directory|folder)\b|\bhidden files\b|\bmcp config\b"
    ),
    "URL": (
        r"\b(?:https?|wss?|ftp)://[^\s\"'<>`)\]]+|(?<![\w@.])[\w-]{1,63}(?:\.[\w-]{1,63}){0,3}"
        r"\.(?:com|net|org|io|dev|app|xyz|info|example)\b(?:/[^\s\"'<>`)\]]*)?"
    ),
    "EMAIL": r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}\b",
    "PIPESHELL": r"\b(?:curl|wget)\b[^\n|]{0,200}\|\s{0,3}(?:sudo\s{1,3})?(?:ba|z|da)?sh\b",
    "COMMAND": (
        r"\brm -r?f?r?\b|\bcurl\b[^\n|]{0,80}https?://|\bwget\b[^\n|]{0,40}https?://|\bnc -\w|"
        r"/dev/tcp/|\bos\.(?:system|popen)\(|\bsubprocess\.\w|\beval\(|\bchmod [+\d]|"
        r"\bbash -[ci]\b|\bpowershell\b"
    ),
    "ACCOUNT": r"\b(?:0x[0-9a-f]{3,64}\b|[a-z]{2}\d{2}\s?(?:[a-z]{4})?\d{4}[\d ]{0,30})",
}
_HINTS = (
    ("rm -", "COMMAND"), ("curl ", "COMMAND"), ("wget ", "COMMAND"), ("nc -", "COMMAND"),
    ("/dev/tcp", "COMMAND"), ("os.", "COMMAND"), ("subprocess.", "COMMAND"),
    ("eval(", "COMMAND"), ("chmod ", "COMMAND"), ("bash -", "COMMAND"), ("powershell", "COMMAND"),
    ("://", "URL"), ("@", "EMAIL"), ("|", "PIPESHELL"), ("_", "NAME"), ("' tool", "NAME"),
    ("` tool", "NAME"), ('" tool', "NAME"), ("' function", "NAME"), ("` function", "NAME"),
    ("` command", "NAME"),
)  # fmt: skip
_KEYFILE = re.compile(
    r"\.ssh|^id_|\.aws|/etc/|/proc/|authorized_keys|git-credentials|\.pgpass|\.netrc|_history|"
    r"login data|saved passwords|wallet|rc$|gnupg|/root/|/var/log"
)
"""Files that no tool works with by itself: those of the user's account, and of the system."""
_KEY_WORDS = """
    root log bashrc zshrc gnupg
    ssh rsa ed25519 ecdsa dsa aws env passwd shadow sudoers environ cursor netrc npmrc pypirc
    pgpass credentials bash zsh kube docker gh gcloud claude mcp keys login passwords keychain
    wallet hidden
"""
_SECRET_WORDS = frozenset(_KEY_WORDS.split())
_SECRET_HINTS = (
    "/root/", "/var/log", ".bashrc", ".zshrc", ".gnupg",
    ".ssh", "id_rsa", "id_ed", "id_ec", "id_ds", ".aws", ".env", "/etc/", "/proc/", ".cursor",
    ".netrc", ".npmrc", ".pypirc", "git-credentials", "sh_history", ".kube", ".docker", ".config",
    "claude_desktop", "mcp.json", "mcp config", "authorized_keys", "login data",
    "saved passwords", "keychain", "wallet.dat", "wallet file", "ssh dir", "ssh folder",
    "hidden files", ".pgpass", "aws_credentials", "etc_passwd", "ssh_dir",
)  # fmt: skip
_HOSTS = frozenset(["com", "net", "org", "io", "dev", "app", "xyz", "info", "example"])
_ACCOUNT_START = re.compile(r"0x[0-9a-f]|[a-z]{2}\d{2}")
_KEY_NAME = re.compile(r"id_(?:rsa|ed25519|ecdsa)|aws_credentials|etc_passwd|ssh_dir")
_PHRASE = re.compile(rf"\b(?:{skeleton(concepts.PHRASES)})\b")
_PHRASE_STARTS = frozenset(
    skeleton(
        """api private ssh access seed env environment mots system chat conversation previous so
        word between unter entre blind our unseren nuestro notre наш"""
    ).split()
)
_NOT_THE_USER = re.compile(rf"\b{concepts.NOT_THE_USER}\b")
SECRET_FILE = re.compile(_SPECIAL["SECRETFILE"])
KEY_FILE = re.compile(_KEYFILE.pattern)
ADDRESS = re.compile(_SPECIAL["URL"] + "|" + _SPECIAL["EMAIL"])
_PATTERNS = tuple((concepts.BITS[name], re.compile(text)) for name, text in _SPECIAL.items())
_QUOTE = "['`\"]"
_CALLING_WORDS = """
    use using call calls calling invoke invoking run runs running execute executing launch
    launching tool when
"""
_CALLING = _CALLING_WORDS.split()
_AFTER_CALLING = "|".join(f"(?<={verb} {_QUOTE})" for verb in _CALLING)
_NAME = re.compile(
    r"(?<![\w/])[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?![\w/])|"
    rf"(?<={_QUOTE})[a-z][a-z0-9]{{0,30}}(?:[-./:][a-z0-9]{{1,30}}){{0,4}}"
    rf"(?={_QUOTE} (?:tool|function|command))|"
    rf"(?<={_QUOTE})(?:{_AFTER_CALLING})[a-z][\w-]{{2,40}}(?={_QUOTE})"
)
_QUOTED_NAME = re.compile(rf"\b(?:{'|'.join(_CALLING)}) {_QUOTE}")
_NAMED = concepts.BITS["NAME"]
_HARMS = concepts.BITS["DESTROYS"]
_HARMFUL = concepts.BITS["HARMNAME"]
_KEYS = concepts.BITS["KEYFILE"]
_SECRETS = concepts.BITS["SECRETFILE"] | _KEYS
_STOP = r"[.!?](?=\s|$)|[。！？]"
_PAUSE = "[,;:()—，、；："
_TOKEN = re.compile(rf"[^\W_]+|{_STOP}|{_PAUSE}{SEGMENT}]")
_ENDS = frozenset(".!?。！？")
_AUXILIARIES = frozenset(["is", "are", "was", "were", "be", "been", "being", "gets"])
_ALIKE = frozenset(["he", "b"])
"""English words that look like Russian words of the rules."""
_SETTING_UP = frozenset(
    ["login", "auth", "authenticate", "authorize", "signin", "connect", "init", "initialize"]
)
"""Words in the names of tools that others of the same server need to be called first."""
_DECLARING = frozenset(["does", "did"])
_PARTICIPLES = frozenset(["read", "put", "set", "sent"])
"""Verbs of which the imperative is also the participle, as in "is read from"."""
APART = 1_000
"""Positions between the strings of a definition, more than any sequence bridges."""


@attrs.frozen
class Token:
    """A word or pattern with a meaning; `position` counts words, two for each.

    `segment`, `sentence` and `clause` count strings, sentences and pauses (commas, brackets).
    """

    position: int
    segment: int
    sentence: int
    clause: int
    mask: int
    start: int
    end: int


@attrs.frozen
class Lexicon:
    """The words with a meaning, folded as the texts are, and the patterns that find them."""

    words: dict[str, int]
    ideographs: dict[str, int]
    ideograph_pattern: re.Pattern[str]
    mixed_pattern: re.Pattern[str]

    def meanings(self, text: str, found: set[str]) -> int:
        """Return all meanings that a folded text can have; quick, and never misses one.

        `found` are the words of the text.
        """
        mask = self._of_words(found)
        if not _SECRET_WORDS.isdisjoint(found) and any(hint in text for hint in _SECRET_HINTS):
            mask |= _SECRETS
        for hint, name in _HINTS:
            if hint in text:
                mask |= concepts.BITS[name]
        if not mask & _NAMED and _QUOTED_NAME.search(text):
            mask |= _NAMED
        if mask & _NAMED:
            mask |= _HARMFUL
        if not _PHRASE_STARTS.isdisjoint(found):
            for phrase in _PHRASE.findall(text):
                mask |= self.words.get(_joined(phrase), 0)
        if not text.isascii() and _IDEOGRAPH.search(text):
            for word in self.ideograph_pattern.findall(text):
                mask |= self.ideographs[word]
        return mask

    def _of_words(self, found: set[str]) -> int:
        mask = 0
        for word in found & self.words.keys():
            mask |= self.words[word]
        for word in found:
            if not word.isalpha():
                mask |= self._leet(word)
                if _ACCOUNT_START.match(word):
                    mask |= concepts.BITS["ACCOUNT"]
        return mask if _HOSTS.isdisjoint(found) else mask | concepts.BITS["URL"]

    def tokens(self, text: str, needed: int, own: str = "") -> Iterator[Token]:
        """Yield the tokens of a folded text in order.

        `needed` are the meanings that matter; tokens without any of them may be left out. `own`
        is the folded name of the tool, which does not count as the name of a tool.
        """
        place = position = segment = sentence = clause = 0
        mixed = not text.isascii() and _IDEOGRAPH.search(text)
        pattern = self.mixed_pattern if mixed else _TOKEN
        known = self._word_mask if mixed else self.words.get
        before = ""
        foreign = frozenset() if mixed or not text.isascii() else _ALIKE
        for start, end, special in [*self._spans(text, needed), (len(text), len(text), 0)]:
            for match in pattern.finditer(text, place, start):
                matched = match[0]
                if not matched[0].isalnum():
                    clause += 1
                    if matched == SEGMENT:
                        position += APART
                        segment += 1
                        sentence += 1
                    elif matched in _ENDS:
                        sentence += 1
                    continue
                mask = known(matched, 0) if matched.isalpha() else self._word_mask(matched)
                # A Chinese or Japanese character without a meaning counts as half a word.
                position += 1 if mixed and not mask and len(matched) == 1 else 2
                if mask & needed and not (matched in foreign or _declares(before, matched)):
                    start_of, end_of = match.span()
                    yield Token(position, segment, sentence, clause, mask, start_of, end_of)
                before = matched
            if special == _NAMED:
                named = 0 if text[start:end] == own else special
                harms = 0
                parts = set(WORD.findall(text, start, end))
                named = named if _SETTING_UP.isdisjoint(parts) else 0
                for part in WORD.finditer(text, start, end):
                    mask = self._word_mask(part[0])
                    harms |= mask & _HARMS
                    position += 2
                    if part.end() == end:
                        mask |= named | (_SECRETS if _KEY_NAME.search(text, start, end) else 0)
                        mask |= self.words.get(text[start:end].replace("_", ""), 0)
                        mask |= _HARMFUL if harms and named else 0
                    if mask:
                        start_of, end_of = part.span()
                        yield Token(position, segment, sentence, clause, mask, start_of, end_of)
            else:
                position += 2
                if special:
                    yield Token(position, segment, sentence, clause, special, start, end)
            place = end

    def _spans(self, text: str, needed: int) -> list[tuple[int, int, int]]:
        """Return the spans in which patterns find meanings, in order and without overlaps."""
        spans = [
            (match.start(), match.end(), bit)
            for bit, pattern in _PATTERNS
            if needed & bit and bit & ~_SECRETS
            for match in pattern.finditer(text)
        ]
        if needed & _SECRETS:
            spans += [
                (match.start(), match.end(), _secret(match[0]))
                for match in SECRET_FILE.finditer(text)
            ]
        if needed & concepts.BITS["USER"]:
            spans += [(match.start(), match.end(), 0) for match in _NOT_THE_USER.finditer(text)]
        for match in _PHRASE.finditer(text):
            mask = self.words.get(_joined(match[0]), 0)
            spans.append((match.start(), match.end(), mask))
        if needed & (_NAMED | _HARMFUL):
            spans += [(match.start(), match.end(), _NAMED) for match in _NAME.finditer(text)]
        apart: list[tuple[int, int, int]] = []
        # The sort is stable: of two spans with the same start, the first one listed counts.
        for span in sorted(spans, key=operator.itemgetter(0)):
            if not apart or span[0] >= apart[-1][1]:
                apart.append(span)
        return apart

    def _word_mask(self, word: str, otherwise: int = 0) -> int:
        mask = self.words.get(word) or self.ideographs.get(word)
        return mask or (otherwise if word.isalpha() else self._leet(word))

    def _leet(self, word: str) -> int:
        return self.words.get(word.translate(_DIGITS), 0) | self.words.get(
            word.translate(_OTHER_ONE), 0
        )


def _declares(before: str, word: str) -> bool:
    """Return whether a word describes instead of ordering, as in "is read" and "does not"."""
    return (word in _PARTICIPLES and before in _AUXILIARIES) or (
        word == "not" and before in _DECLARING
    )


def _secret(matched: str) -> int:
    return _SECRETS if _KEYFILE.search(matched) else _SECRETS & ~_KEYS


def _joined(phrase: str) -> str:
    return phrase.replace(" ", "").replace("_", "").replace("-", "")


@functools.cache
def lexicon() -> Lexicon:
    """Return the shared lexicon, built on first use."""
    words = {skeleton(word): 0 for word in concepts.words()}
    for word, mask in concepts.words().items():
        words[skeleton(word)] |= mask
    ideographs = {skeleton(word): mask for word, mask in concepts.ideographs().items()}
    longest = "|".join(sorted(ideographs, key=len, reverse=True))
    letters = "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
    return Lexicon(
        words,
        ideographs,
        re.compile(longest),
        re.compile(
            rf"{longest}|{letters}|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|{_STOP}|{_PAUSE}{SEGMENT}]"
        ),
    )
