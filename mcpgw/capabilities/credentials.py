"""Lookup of secrets by reference: environment variables, keychain, files and OAuth logins.

Secrets are looked up before a request is made, and never by anything that a caller passes in.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw.capabilities.api_logins import ApiClient, ApiLogin, ApiLogins
from mcpgw.capabilities.client_tokens import ClientTokens
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.processes import OutputTooLarge, run_program
from mcpgw.config.api_login import ApiLoginConfig
from mcpgw.config.json_path import resolve
from mcpgw.observe.log import get_logger
from mcpgw.transports.address_policy import AllowedNetworks

if TYPE_CHECKING:
    from mcpgw.capabilities.model import Auth
    from mcpgw.capabilities.token_requests import PostForm

log = get_logger("mcpgw.capabilities")

SHORTEST: Final = 6
"""Length of the shortest secret that is redacted; shorter ones would cut words apart."""
LARGEST_FILE: Final = 1024 * 1024
"""Bytes."""
KEYCHAIN_TIMEOUT: Final = 20.0
"""Seconds that a tool of the system gets to answer, such as for asking its user."""
_UPPER: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_BRACED: Final = re.compile(r"\{(env|keychain)\.([^{}]+)\}")


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
      post_form: requests OAuth tokens; without it, expired tokens are errors.
    """

    environ: Callable[[], Mapping[str, str]]
    folder: Path
    post_form: PostForm | None = None
    seen: set[str] = attrs.field(factory=set, repr=False)
    """All secrets that have been looked up, for redaction."""
    clients: Mapping[str, ApiLoginConfig] = attrs.field(factory=dict, repr=False)
    """The configured OAuth clients by provider, `capabilities.logins`."""
    _keychain: dict[str, str] = attrs.field(factory=dict, repr=False)
    _logins: ApiLogins = attrs.field(init=False, repr=False)
    _client_tokens: ClientTokens = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._logins = ApiLogins(self.folder, self.post_form, self.client_of, self.seen)
        self._client_tokens = ClientTokens(self.post_form, self._value_of, self.seen)

    async def of(self, auth: Auth, networks: AllowedNetworks, *, rejected: str = "") -> str:
        """Return the credential of a capability.

        Args:
          auth: its `auth` section.
          networks: the addresses that the token endpoint of the file may have.
          rejected: the credential that the API refused. It is looked up where it is stored, and a
            token is renewed.

        Raises:
          CallProblem: there is none; the message says what to do.
        """
        if auth.own:
            return await self._client_tokens.token(auth, networks, rejected=rejected)
        if rejected:
            self._keychain.clear()
        return await self.look_up(
            auth.key, hint=auth.description, token_endpoint=auth.token_endpoint, rejected=rejected
        )

    async def client_of(self, provider: str, login: ApiLogin | None = None) -> ApiClient | None:
        """Return the user's OAuth client at a provider, None without one.

        It is configured under `capabilities.logins`, or by the environment variables
        `PROVIDER_CLIENT_ID` and `PROVIDER_CLIENT_SECRET`. The secret may also be the keychain's
        entry `PROVIDER-client-secret`.

        Args:
          provider: the provider's name.
          login: the stored login, whose client is used if none is configured.

        Raises:
          CallProblem: a configured reference leads nowhere.
        """
        config = self.clients.get(provider, ApiLoginConfig())
        environ, variable = self.environ(), re.sub(r"[^A-Z0-9]", "_", provider.upper())
        client_id = config.client_id
        if client_id.startswith(("env:", "keychain:", "file:")):
            client_id = await self.look_up(client_id)
        client_id = (
            client_id
            or environ.get(f"{variable}_CLIENT_ID", "")
            or (login.client_id if login else "")
        )
        if config.client_secret:
            return ApiClient(client_id, await self.look_up(config.client_secret))
        if secret := environ.get(f"{variable}_CLIENT_SECRET", ""):
            self.seen.add(secret)
            return ApiClient(client_id, secret, stored=True)
        if login is not None and login.client_secret:
            return None
        secret = await _keychain(f"{provider}-client-secret") or ""
        self.seen |= {secret} if secret else set()
        return ApiClient(client_id, secret) if client_id or secret else None

    async def _value_of(self, reference: str, hint: str) -> str:
        return await self.look_up(reference, hint=hint)

    async def look_up(
        self, reference: str, *, hint: str = "", token_endpoint: str = "", rejected: str = ""
    ) -> str:
        """Return the secret that a reference names.

        Args:
          reference: `env:NAME`, `NAME`, `{env.NAME}`, `env.NAME`, `keychain:NAME`,
            `keychain.NAME`, `oauth:PROVIDER`, or `file:PATH:FIELD.SUB`.
          hint: how a person gets the secret, for the error message.
          token_endpoint: URL at which an OAuth token is renewed.
          rejected: an OAuth token that the API refused, which must be renewed.

        Raises:
          CallProblem: there is no such secret; the message says what to do.
        """
        found = await self._resolve(reference, hint, token_endpoint, rejected)
        self.seen.add(found)
        return found

    async def _resolve(self, reference: str, hint: str, token_endpoint: str, rejected: str) -> str:
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
            return await self._logins.token(
                name, hint=hint, token_endpoint=token_endpoint, rejected=rejected
            )
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
