"""OAuth logins to APIs on the command line, for `mcp-gateway auth`."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from mcpgw.cli.exit_codes import FAILED, UNAVAILABLE
from mcpgw.cli.in_process import Stop
from mcpgw.state.folder import state_folder

if TYPE_CHECKING:
    from mcpgw.capabilities.library import Library
    from mcpgw.config.trust import CapabilitiesConfig
    from mcpgw.oauth.status import LoginState

PREFIX = "oauth:"
"""Prefix of a name that means an API even if a server has the same name."""


@attrs.define
class ApiLoginCommands:
    """Login, logout and status of the APIs that capabilities use.

    Args:
      settings: the section `capabilities`.
      environ: the environment.
      here: the folder that relative paths of the settings are resolved against.
    """

    settings: CapabilitiesConfig
    environ: Mapping[str, str] = attrs.field(repr=False)
    here: Path
    _library: Library | None = None

    @property
    def library(self) -> Library:
        """The capabilities that are enabled."""
        if self._library is None:
            from mcpgw.capabilities.builtin import folders_of
            from mcpgw.capabilities.library import Library
            from mcpgw.trust.approvals import ApprovalStore

            self._library = Library(approvals=ApprovalStore.of(_state()))
            if self.settings.enabled:
                named, shipped = folders_of(self.settings, self.here)
                self._library.use(named, fixed=shipped)
                self._library.refresh()
        return self._library

    def names(self) -> tuple[str, ...]:
        """Return the names of all providers that can be logged in to."""
        from mcpgw.capabilities.api_providers import provider_names

        return provider_names(self.library, self.settings.logins)

    def shown(self) -> tuple[str, ...]:
        """Return the names that `auth status` lists: with a login, or configured."""
        from mcpgw.capabilities.api_logins import FOLDER, is_provider

        folder = _state() / FOLDER
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        stored = [path.stem for path in files if is_provider(path.stem)]
        return tuple(dict.fromkeys([*self.settings.logins, *stored]))

    def knows(self, name: str) -> bool:
        """Return whether a name is that of a provider."""
        return name in self.shown() or name in self.names()

    def status(self, name: str) -> LoginState:
        """Return the state of a login. No provider is contacted."""
        from mcpgw.capabilities.api_login_flow import state_of
        from mcpgw.capabilities.api_logins import read_login

        return state_of(read_login(_state(), name), time.time())

    async def log_in(
        self,
        name: str,
        scopes: tuple[str, ...],
        present: Callable[[str], Awaitable[None]],
        show_code: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> LoginState:
        """Let the user log in.

        Args:
          name: the provider.
          scopes: the scopes to request, if not those of the capabilities.
          present: shows the link.
          show_code: shows the page and the code of a login on another device; None for a login in
            a browser of this machine.

        Raises:
          Stop: it failed, or something must be configured first.
        """
        from mcpgw.capabilities.api_login_flow import (
            log_in,
            log_in_by_device,
            missing_client,
            state_of,
        )
        from mcpgw.capabilities.api_providers import find_provider
        from mcpgw.capabilities.credentials import Credentials
        from mcpgw.capabilities.errors import CallProblem
        from mcpgw.config.api_login import ApiLoginConfig
        from mcpgw.oauth.errors import OAuthProblem
        from mcpgw.transports.network import Network

        logins = self.settings.logins
        try:
            provider = find_provider(name, self.library, logins)
            if provider is None:
                raise Stop(f"No capability and no setting names '{name}'.", FAILED)
            if scopes:
                provider = attrs.evolve(provider, scopes=scopes)
            config = logins.get(name, ApiLoginConfig())
            found = Credentials(lambda: self.environ, _state())
            found.clients = logins
            client = await found.client_of(name)
            if client is None or not client.id:
                raise missing_client(provider, config)
            if show_code is not None:
                login = await log_in_by_device(
                    provider,
                    client,
                    folder=_state(),
                    network=Network(self.environ),
                    show=show_code,
                )
                return state_of(login, time.time())
            if not provider.authorization_endpoint:
                raise Stop(f"'{name}' only supports logins with --device.", FAILED)
            login = await log_in(
                provider,
                client,
                config,
                folder=_state(),
                network=Network(self.environ),
                present=present,
            )
        except (OAuthProblem, CallProblem) as problem:
            raise Stop(f"no login to '{name}': {problem}", UNAVAILABLE) from None
        return state_of(login, time.time())

    async def log_out(self, name: str) -> tuple[bool, bool]:
        """Revoke and delete a login; return whether there was one, and was revoked.

        Raises:
          Stop: it cannot be deleted.
        """
        from mcpgw.capabilities.api_login_flow import log_out
        from mcpgw.oauth.errors import OAuthProblem
        from mcpgw.transports.network import Network

        try:
            return await log_out(name, folder=_state(), network=Network(self.environ))
        except OAuthProblem as problem:
            raise Stop(str(problem), FAILED) from None


def _state() -> Path:
    return state_folder(os.environ)
