"""Table of all settings, generated from the schema for the docs."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from mcpgw.config.failsafe import FailsafeConfig
from mcpgw.config.schema import BACKEND_FORM_KEYS, GatewayConfig

_EACH_NAME = "<name>"
_GLOBAL_SECTIONS = frozenset(field.name for field in attrs.fields(FailsafeConfig))
"""Sections of a backend that default to those of `failsafe`, and are listed there."""


@attrs.frozen
class Row:
    """One setting: dotted key, type, default as YAML, description, kind of reload."""

    key: str
    type: str
    default: str
    doc: str
    reload: str


def settings_table() -> list[Row]:
    """Return a row for every key of gateway.yaml, in the order of the schema."""
    return list(_rows(GatewayConfig, ""))


def _rows(of: type[attrs.AttrsInstance], prefix: str) -> Iterator[Row]:
    for field in attrs.fields(of):
        key, metadata = f"{prefix}{field.name}", field.metadata
        doc: str = metadata.get("doc", "")
        if "each" in metadata:
            below = f"{key}.{_EACH_NAME}."
            yield from _rows(metadata["each"], below)
            for form in BACKEND_FORM_KEYS:
                shown = form.kind.show(form.kind.read(form.default))
                yield Row(f"{below}{form.name}", form.kind.words, shown, form.doc, "live")
        elif "section" in metadata and field.default is None and field.name in _GLOBAL_SECTIONS:
            default = f"as failsafe.{field.name}"
            yield Row(key, "map", default, doc, "live")
        elif "section" in metadata:
            yield from _rows(metadata["section"], f"{key}.")
        elif "named" in metadata:
            yield from _rows(metadata["named"], f"{key}.{_EACH_NAME}.")
        elif "listed" in metadata:
            yield from _rows(metadata["listed"], f"{key}[].")
        elif "kind" in metadata:
            kind = metadata["kind"]
            yield Row(key, kind.words, kind.show(field.default), doc, metadata["reload"])
