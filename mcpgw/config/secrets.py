"""Secrets among the settings of a backend.

A name decides first: of a variable, header, option or query parameter. `GITHUB_TOKEN` names a
secret, `AWS_REGION` does not. Where it says nothing, the look of the value decides.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import attrs

if TYPE_CHECKING:
    from mcpgw.config.schema import BackendConfig

_SECRET_WORDS: Final = frozenset(
    """auth authorization bearer cookie cred credential credentials creds dsn jwt key otp pass
    passcode passphrase passwd password pat pin private psk pw pwd sas secret secrets session
    sid sig signature token webhook""".split()  # noqa: SIM905 - a list would fill the page
)
_SECRET_ENDS: Final = ("token", "secret", "password", "passwd", "apikey", "accesskey", "secretkey")
_HARMLESS_WORDS: Final = frozenset(
    """accept account address agent algorithm app base bucket cache charset client cluster config
    count cwd database db debug dir directory domain email encoding endpoint env environment
    expires file folder format home host hostname id interval kind lang language level limit
    locale log max min mode model name namespace node origin org organization owner path port
    profile project protocol provider proxy referer region registry repo repository retries
    root schema scheme scope server service size stage team tenant timeout timezone type tz
    uri url user username version workspace zone""".split()  # noqa: SIM905 - a list would fill the page
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_RUN: Final = re.compile(r"[A-Za-z0-9]+")
_CHANGE: Final = re.compile(r"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])|[a-z](?=[A-Z])")
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PATH: Final = re.compile(r"(?:/|~/|\./|\.\./|[A-Za-z]:[\\/])")
_OPTION: Final = re.compile(r"(--?[A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)
_PAIR: Final = re.compile(r"([A-Za-z_][\w.-]*)=(.+)", re.DOTALL)
_USER_IN_URL: Final = re.compile(r"(?:^|//|\s)[^/\s]*@")
_IN_DSN: Final = re.compile(
    r"(?i)(?:password|passwd|pwd|secret|token|accountkey|accesskey|sig)\s*=\s*([^;&\s\"']+)"
)
_HEADER_OPTIONS: Final = ("-H", "--header", "--headers")
_HEADER: Final = re.compile(r"([A-Za-z][\w-]*):\s*(.+)", re.DOTALL)


@attrs.frozen
class Secrets:
    """The secrets of a configuration.

    Args:
      certain: values that are secrets.
      suspects: values of a place where secrets stand, which may be others too.
    """

    certain: frozenset[str] = attrs.field(repr=False)
    suspects: frozenset[str] = attrs.field(repr=False)


def names_secret(name: str) -> bool:
    """Return true if a name says that its value is a secret, such as `apiKey` or `DB_PASS`."""
    words = _words(name)
    if not words or words[-1] in ("file", "path", "dir", "url", "uri", "name", "type", "count"):
        return False
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words)


def looks_generated(value: str, *, shortest: int = 10) -> bool:
    """Return true if a value looks like a key: letters and digits mixed as no word has them.

    Args:
      value: the value.
      shortest: the length from which on few changes between letters and digits suffice.
    """
    if any(map(str.isspace, value)):
        return False
    for run in _RUN.findall(value):
        letters = sum(map(str.isalpha, run))
        if letters in (0, len(run)) and len(run) < 24:
            continue
        changes = len(_CHANGE.findall(run))
        if changes >= 4 or (len(run) >= shortest and changes >= 2) or len(run) >= 2 * shortest:
            return True
    return False


def secrets_of(config: BackendConfig) -> Secrets:
    """Return the secrets in the settings of a backend: `env`, `headers`, `args`, URLs, OAuth."""
    found = _Found()
    for name, value in config.env.items():
        found.add(name, value)
    for name, value in config.headers.items():
        found.add_header(name, value)
    found.add_words(config.command[1:])
    for url in (config.http_url, config.ws_url, config.a2a_url):
        found.add_url(url)
    for variable, value in config.variables.items():
        found.add(variable, value, unknown=True)
    if config.oauth is not None and config.oauth.client_secret:
        found.certain.add(config.oauth.client_secret)
    return Secrets(frozenset(found.certain), frozenset(found.suspects - found.certain))


def secrets_of_proxies(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the user and password in the URLs of the configured proxies."""
    found = _Found()
    for name, value in environ.items():
        if name.lower().endswith("_proxy"):
            found.add_url(value)
    return frozenset(found.certain)


def has_password(url: str) -> bool:
    """Return true if a text has a URL with a user or password; a scheme is not needed."""
    return _USER_IN_URL.search(url) is not None


@attrs.define
class _Found:
    certain: set[str] = attrs.field(factory=set)
    suspects: set[str] = attrs.field(factory=set)

    def add(self, name: str, value: str, *, unknown: bool = False) -> None:
        """Add a value by its name; `unknown` decides if neither name nor look says anything."""
        value = value.strip()
        self.certain.update(_IN_DSN.findall(value))
        if value.startswith(("{", "[")) and self._add_json(value):
            if names_secret(name):
                self.certain.add(value)
            return
        if "://" in value:
            self.add_url(value)
            if names_secret(name):
                self.certain.add(value)
            return
        if _PATH.match(value) and len(value) < 200 and not names_secret(name):
            return
        harmless = any(word in _HARMLESS_WORDS for word in _words(name))
        if names_secret(name) or (looks_generated(value) and not _UUID.fullmatch(value)):
            if not (_PATH.match(value) and "\n" not in value and value.count("/") > 1):
                self.certain.add(value)
        elif unknown and not harmless and not value.isdigit() and len(value.split()) == 1:
            self.certain.add(value)
        else:
            self.suspects.add(value)

    def add_header(self, name: str, value: str) -> None:
        value = value.strip()
        lower = name.lower()
        scheme, blank, rest = value.partition(" ")
        if lower in ("authorization", "proxy-authorization"):
            self.certain |= {value, rest.strip() if blank else value}
            if scheme.lower() == "basic":
                self._add_basic(rest.strip())
            self.certain.update(part for part in re.split(r'[\s,;="]+', rest) if len(part) >= 16)
        elif lower == "cookie":
            self.certain.add(value)
            for pair in value.split(";"):
                self.add(pair.partition("=")[0], pair.partition("=")[2], unknown=True)
        else:
            self.add(name, value, unknown=True)
            if blank and scheme.lower() in ("bearer", "token", "basic", "apikey", "api-key"):
                self.certain.add(rest.strip())

    def _add_json(self, text: str) -> bool:
        """Add the texts in a JSON value, such as a map of headers; return whether it is one."""
        try:
            pending = [("", json.loads(text))]
        except (ValueError, RecursionError):
            return False
        while pending:
            name, value = pending.pop()
            if isinstance(value, dict):
                pending += value.items()
            elif isinstance(value, list):
                pending += [(name, inner) for inner in value]
            elif isinstance(value, str) and name.lower() in ("authorization", "cookie"):
                self.add_header(name, value)
            elif isinstance(value, str) and not value.startswith(("{", "[")):
                self.add(name, value)
        return True

    def _add_basic(self, encoded: str) -> None:
        try:
            pair = base64.b64decode(encoded + "==").decode()
        except ValueError:
            return
        self.certain |= {pair, pair.partition(":")[2]}

    def add_url(self, url: str) -> None:
        parts = _split(url)
        if parts is None or not parts.scheme:
            return
        user, at, _ = parts.netloc.rpartition("@")
        if at:
            name, _, password = user.partition(":")
            # A user without a password is often a token; a user with one is rarely secret.
            only = password or name
            self.certain |= {user, unquote(user), only, unquote(only)}
        for name, value in parse_qsl(parts.query):
            if names_secret(name) or name.lower() in ("code", "k") or looks_generated(value):
                self.certain.add(value)
            else:
                self.suspects.add(value)
        if parts.scheme in ("http", "https", "ws", "wss"):
            for segment in parts.path.split("/"):
                if _is_key(unquote(segment)):
                    self.certain |= {segment, unquote(segment)}

    def add_words(self, words: Iterable[str]) -> None:
        """Add the arguments of a program: values of options, `NAME=value` and `Name: value`."""
        option = ""
        for word in words:
            given = _OPTION.fullmatch(word)
            if given is not None and (given[2] is not None or not option or word[:2] == "--"):
                option = given[1] if given[2] is None else ""
                if given[2] is not None:
                    self._add_word(given[1], given[2])
            else:
                self._add_word(option, word)
                option = ""

    def _add_word(self, option: str, word: str) -> None:
        pair = _PAIR.fullmatch(word)
        header = _HEADER.fullmatch(word)
        if "://" in word:
            start = word.index("://")
            while start and (word[start - 1].isalnum() or word[start - 1] in "+.-"):
                start -= 1
            self.add_url(word[start:])
        if names_secret(option.lstrip("-")):
            self.certain.add(word)
        elif header is not None and (option in _HEADER_OPTIONS or names_secret(header[1])):
            self.add_header(header[1], header[2])
        elif pair is not None:
            self.add(pair[1], pair[2])
        elif looks_generated(word) and not set(word) & set("@/\\"):
            self.certain.add(word)


def _is_key(segment: str) -> bool:
    """Return true if a segment of a path looks like a key, which some servers put there."""
    if _UUID.fullmatch(segment):
        return True
    runs = _RUN.findall(segment)
    mixed = [run for run in runs if not run.isalpha() and not run.isdigit()]
    return (
        len(segment) >= 12
        and (any(len(run) >= 12 for run in mixed) or looks_generated(segment, shortest=8))
    ) or (len(segment) >= 20 and names_secret(segment))


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None
