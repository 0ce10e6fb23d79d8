"""Comparison of two configurations: changed backends and sections, and how they take effect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import attrs

from mcpgw.config.failsafe import FailsafeConfig
from mcpgw.config.schema import BackendConfig, GatewayConfig

Outcome = Literal["applied", "restart"]

NO_CHANGES = "no changes detected"


@attrs.frozen
class SectionChange:
    """A changed section outside `backends`.

    Args:
      name: the section.
      outcome: `restart` if at least one change takes effect only at the next start.
      keys: the changed keys, dotted, relative to the section.
      waiting: those that take effect only at the next start.
    """

    name: str
    outcome: Outcome
    keys: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


@attrs.frozen
class Changes:
    """The differences between two configurations; all names are sorted."""

    backends_added: tuple[str, ...] = ()
    backends_removed: tuple[str, ...] = ()
    backends_modified: tuple[str, ...] = ()
    sections: tuple[SectionChange, ...] = ()

    def __bool__(self) -> bool:
        """Return true if there are any changes."""
        return bool(
            self.backends_added or self.backends_removed or self.backends_modified or self.sections
        )

    @property
    def restart_required(self) -> bool:
        """True if a change takes effect only at the next start."""
        return any(section.outcome == "restart" for section in self.sections)

    def describe(self) -> str:
        """Return the changes in one line, separated by `; `, as the reload tool reports them."""
        parts = [
            f"{verb} backends: [{', '.join(names)}]"
            for verb, names in (
                ("added", self.backends_added),
                ("removed", self.backends_removed),
                ("modified", self.backends_modified),
            )
            if names
        ]
        for section in self.sections:
            parts.append(f"{section.name} changed{_keys(section.keys)}")
            if section.waiting:
                parts[-1] += f" (restart required{_keys(section.waiting)})"
        return "; ".join(parts) or NO_CHANGES


def diff(old: GatewayConfig, new: GatewayConfig) -> Changes:
    """Compare two configurations.

    A backend that becomes disabled counts as removed, one that becomes enabled as added. A
    backend is modified if its own settings or its effective failsafe settings differ, so a change
    of a global failsafe section modifies the backends that do not override it.
    """
    before, after = _enabled(old), _enabled(new)
    both = before.keys() & after.keys()
    modified = [
        name
        for name in both
        if _effective(before[name], old.failsafe) != _effective(after[name], new.failsafe)
    ]
    return Changes(
        backends_added=_sorted(after.keys() - before.keys()),
        backends_removed=_sorted(before.keys() - after.keys()),
        backends_modified=_sorted(modified),
        sections=tuple(_sections(old, new)),
    )


def _sections(old: GatewayConfig, new: GatewayConfig) -> Iterable[SectionChange]:
    for field in attrs.fields(GatewayConfig):
        if "each" in field.metadata:
            continue
        changed = _changed(field, getattr(old, field.name), getattr(new, field.name), "")
        if changed:
            waiting = tuple(key for key, reload in changed.items() if reload == "restart")
            outcome: Outcome = "restart" if waiting else "applied"
            keys = tuple(key for key in changed if key)
            yield SectionChange(field.name, outcome, keys, waiting)


def _changed(field: attrs.Attribute[Any], old: object, new: object, key: str) -> dict[str, str]:
    """Map each changed setting of a field to its kind of reload."""
    if old == new:
        return {}
    part = field.metadata.get("section")
    if part is None:
        return {key: field.metadata["reload"]}
    changed: dict[str, str] = {}
    for inner in attrs.fields(part):
        below = f"{key}.{inner.name}" if key else inner.name
        changed |= _changed(inner, getattr(old, inner.name), getattr(new, inner.name), below)
    return changed


def _enabled(config: GatewayConfig) -> dict[str, BackendConfig]:
    return {name: backend for name, backend in config.backends.items() if backend.enabled}


def _effective(
    backend: BackendConfig, failsafe: FailsafeConfig
) -> tuple[BackendConfig, FailsafeConfig]:
    overrides: dict[str, Any] = dict.fromkeys(attrs.fields_dict(FailsafeConfig))
    return attrs.evolve(backend, **overrides), backend.effective_failsafe(failsafe)


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _keys(keys: tuple[str, ...]) -> str:
    return f": {', '.join(keys)}" if keys else ""
