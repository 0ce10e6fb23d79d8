"""Lookup of secrets by reference: environment variables, keychain, files and OAuth logins.

Secrets are looked up before a request is made, and never by anything that a caller passes in.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.processes import OutputTooLarge, run_program
from mcpgw.config.json_path import resolve
from mcpgw.observe.log import get_logger, protect
from mcpgw.observe.redactor import Redactor

log = get_logger("mcpgw.capabilities")

SHORTEST: Final = 6
"""Length of the shortest secret that is redacted; shorter ones would cut words apart."""
RENEW_BEFORE: Final = 60.0
"""Seconds before its expiry at which a token is renewed."""
LARGEST_FILE: Final = 1024 * 1024
"""Bytes."""
KEYCHAIN_TIMEOUT: Final = 20.0
"""Seconds that a tool of the system gets to answer, such as for asking its user."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UPPER: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_BRACED: Final = re.compile(r"\{(env|keychain)\.([^{}]+)\}")

PostForm = Callable[[str, Mapping[str, str]], Awaitable[Mapping[str, Any]]]
"""Posts a form to a token endpoint; returns the JSON object of the response."""


def is_reference(key: str) -> bool:
    """Return whether an `auth.key` is a reference rather than a secret itself."""
    return (
        key.startswith(("env:", "keychain:", "oauth:", "file:"))
        or _BRACED.fullmatch(key) is not None
        or _UPPER.fullmatch(key) is not None
    )


@attrs.define(eq=False)
class Credentials:
    """Looks up secrets by their references.

    Args:
      environ: gives the current environment, overlaid with the files of `env_files`.
      folder: the state folder; OAuth logins of providers are `logins/PROVIDER.json` in it.
      post_form: renews OAuth tokens; without it, expired tokens are errors.
    """

    environ: Callable[[], Mapping[str, str]]
    folder: Path
    post_form: PostForm | None = None
    seen: set[str] = attrs.field(factory=set, repr=False)
    """All secrets that have been looked up, for redaction."""
    redactor: Redactor = attrs.field(init=False, repr=False)
    """Keeps those secrets out of log lines."""
    _keychain: dict[str, str] = attrs.field(factory=dict, repr=False)
    _tokens: dict[str, tuple[str, float]] = attrs.field(factory=dict, repr=False)
    _renewing: dict[str, trio.Lock] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.redactor = Redactor(current=lambda: self.seen)
        protect(self.redactor)

    async def look_up(self, reference: str, *, hint: str = "", token_endpoint: str = "") -> str:
        """Return the secret that a reference names.

        Args:
          reference: `env:NAME`, `NAME`, `{env.NAME}`, `env.NAME`, `keychain:NAME`,
            `keychain.NAME`, `oauth:PROVIDER`, or `file:PATH:FIELD.SUB`.
          hint: how a person gets the secret, for the error message.
          token_endpoint: URL at which an OAuth token is renewed.

        Raises:
          CallProblem: there is no such secret; the message says what to do.
        """
        found = await self._resolve(reference, hint, token_endpoint)
        self.seen.add(found)
        return found

    async def _resolve(self, reference: str, hint: str, token_endpoint: str) -> str:
        braced = _BRACED.fullmatch(reference)
        if braced:
            reference = f"{braced[1]}:{braced[2]}"
        kind, colon, name = reference.partition(":")
        if not colon and reference.partition(".")[0] in ("env", "keychain"):
            kind, _, name = reference.partition(".")
        if kind == "env" or (not name and _UPPER.fullmatch(reference)):
            return self._variable(name or reference, hint)
        if kind == "keychain":
            return await self._from_keychain(name, hint)
        if kind == "oauth":
            return await self._login(name, hint, token_endpoint)
        if kind == "file":
            return await trio.to_thread.run_sync(self._from_file, name, hint)
        raise CallProblem(
            f"unknown kind of credential reference: {reference[:20]!r}. Write env:NAME,"
            " keychain:NAME, oauth:PROVIDER or file:PATH:FIELD."
        )

    async def optional(self, reference: str) -> str | None:
        """Return the secret of a reference in a template, None for a variable that is not set."""
        if reference.startswith("env."):
            found = self.environ().get(reference[4:])
            self.seen |= {found} if found else set()
            return found or None
        return await self.look_up(reference)

    def _variable(self, name: str, hint: str) -> str:
        value = self.environ().get(name)
        if not value:
            raise CallProblem(
                f"the environment variable {name} is not set."
                f" Set it in the gateway's environment or in a file of `env_files`.{_more(hint)}"
            )
        return value

    async def _from_keychain(self, name: str, hint: str) -> str:
        if name not in self._keychain:
            value = await _keychain(name)
            if not value:
                raise CallProblem(
                    f"the system's keychain has no entry '{name}'."
                    f" Add it with `keyring set {name} mcpgw`.{_more(hint)}"
                )
            self._keychain[name] = value
        return self._keychain[name]

    def _from_file(self, place: str, hint: str) -> str:
        path, colon, field = place.rpartition(":")
        if not colon:
            path, field = place, ""
        file = Path(path).expanduser()
        try:
            with file.open("rb") as opened:
                data = opened.read(LARGEST_FILE + 1)
            text = data.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise CallProblem(f"{file} cannot be read: {reason}.{_more(hint)}") from None
        if len(data) > LARGEST_FILE:
            raise CallProblem(f"{file} must not be larger than {LARGEST_FILE >> 20} MiB.")
        if not field:
            return text.strip()
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError):
            raise CallProblem(
                f"{file} is not valid JSON; it must be an object with '{field}'."
            ) from None
        value = resolve(value, field.split("."))
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise CallProblem(f"{file} has no string or number at '{field}'.{_more(hint)}")
        return str(value)

    # -- OAuth logins of providers ---------------------------------------------------------------

    async def _login(self, provider: str, hint: str, token_endpoint: str) -> str:
        if not _NAME.fullmatch(provider.replace("-", "_")):
            raise CallProblem(f"{provider[:40]!r} is not a valid name of an OAuth provider.")
        lock = self._renewing.setdefault(provider, trio.Lock())
        async with lock:
            token, until = self._tokens.get(provider, ("", 0.0))
            if token and time.time() < until - RENEW_BEFORE:
                return token
            return await self._stored_login(provider, hint, token_endpoint)

    async def _stored_login(self, provider: str, hint: str, token_endpoint: str) -> str:
        from mcpgw.state.files import read_json

        path = self.folder / "logins" / f"{provider}.json"
        stored = await trio.to_thread.run_sync(read_json, path)
        if not isinstance(stored, dict) or not (
            stored.get("access_token") or stored.get("refresh_token")
        ):
            raise CallProblem(
                f"no login for '{provider}': write its tokens to {path} as"
                ' {"access_token": ..., "refresh_token": ..., "client_id": ...}.' + _more(hint)
            )
        if (token := self._valid_token(provider, stored)) is not None:
            return token
        endpoint = str(stored.get("token_endpoint") or token_endpoint)
        if not (stored.get("refresh_token") and endpoint and self.post_form):
            raise CallProblem(f"the login for '{provider}' has expired; log in again.{_more(hint)}")
        form = {"grant_type": "refresh_token", "refresh_token": str(stored["refresh_token"])}
        for name in ("client_id", "client_secret"):
            if stored.get(name):
                form[name] = str(stored[name])
        if "client_secret" not in form:
            secret = await _keychain(f"{provider}-client-secret")
            form |= {"client_secret": secret} if secret else {}
        self.seen.update(form[name] for name in ("refresh_token", "client_secret") if name in form)
        try:
            response = await self.post_form(endpoint, form)
        except CallProblem:
            # Another gateway may just have renewed it, which often revokes the refresh token.
            current = await trio.to_thread.run_sync(read_json, path)
            other = self._valid_token(provider, current) if isinstance(current, dict) else None
            if other is None or current == stored:
                raise
            return other
        return await self._renewed(provider, path, stored, response)

    def _valid_token(self, provider: str, stored: Mapping[str, Any]) -> str | None:
        """Return the access token of a stored login, None if it has expired."""
        until = stored.get("expires_at")
        ends = float(until) if isinstance(until, (int, float)) else float("inf")
        token = stored.get("access_token")
        if not isinstance(token, str) or not token or time.time() >= ends - RENEW_BEFORE:
            return None
        self._tokens[provider] = (token, ends)
        return token

    async def _renewed(
        self, provider: str, path: Path, stored: Mapping[str, Any], response: Mapping[str, Any]
    ) -> str:
        """Store the response of a token endpoint and return its access token."""
        from mcpgw.state.files import write_atomically

        token = response.get("access_token")
        if not isinstance(token, str) or not token:
            raise CallProblem(f"the login for '{provider}' could not be renewed; log in again.")
        seconds = response.get("expires_in")
        ends = time.time() + (float(seconds) if isinstance(seconds, (int, float)) else 3600.0)
        fresh = {
            **stored,
            "access_token": token,
            "refresh_token": response.get("refresh_token") or stored["refresh_token"],
            "expires_at": ends,
        }
        text = json.dumps(fresh, indent=2).encode()
        try:
            await trio.to_thread.run_sync(write_atomically, path, text)
        except OSError as error:
            hint = "a new login may be needed after the next start"
            log.warning("token.write_failed", provider=provider, reason=str(error), hint=hint)
        self._tokens[provider] = (token, ends)
        log.info("token.renewed", provider=provider)
        return token


def _more(hint: str) -> str:
    return f" {hint}" if hint else ""


async def _keychain(name: str) -> str | None:
    """Return a password of the system's keychain: by `keyring`, else by the system's own tool."""
    found = await trio.to_thread.run_sync(_by_keyring, name)
    if found:
        return found
    for words in (
        ("security", "find-generic-password", "-s", name, "-w"),
        ("secret-tool", "lookup", "service", name),
    ):
        program = shutil.which(words[0])
        if program is None:
            continue
        with trio.move_on_after(KEYCHAIN_TIMEOUT):
            try:
                done = await run_program([program, *words[1:]], limit=LARGEST_FILE)
            except (OSError, OutputTooLarge):
                continue
            secret = done.stdout.decode("utf-8", "replace").strip()
            if done.status == 0 and secret:
                return secret
    return None


def _by_keyring(name: str) -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        found: str | None = keyring.get_password(name, "mcpgw")
        if found is None and (entry := keyring.get_credential(name, None)) is not None:
            found = entry.password
    except KeyringError as error:
        log.warning("keychain.read_failed", name=name, reason=str(error))
        return None
    return found
