"""Supervisor of an instance: the parts of its server that it uses."""

from __future__ import annotations

from typing import Protocol

from mcpgw.backends.breaker import CircuitBreaker
from mcpgw.backends.services import BackendServices, Instance
from mcpgw.config.failsafe import FailsafeConfig
from mcpgw.config.schema import BackendConfig


class Supervisor(Protocol):
    """Settings, switches and breaker of a server."""

    config: BackendConfig
    failsafe: FailsafeConfig
    services: BackendServices
    breaker: CircuitBreaker
    killed: bool

    @property
    def breaker_open(self) -> bool:
        """True if the circuit breaker refuses calls."""

    def instance_listed(self, instance: Instance, changed: frozenset[str]) -> None:
        """Handle that an instance has read its lists; `changed` names those that differ."""
