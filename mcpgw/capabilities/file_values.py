"""Values of capability files: headers, values to compare with, and the common form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from mcpgw.config.parsing import read_keys, read_some_text
from mcpgw.config.value_types import TEXT, TEXT_MAP, TEXTS, Kind, SettingError

VALUES: Final[Kind[tuple[Any, ...]]] = Kind(
    "value or list of values",
    lambda value: tuple(value) if isinstance(value, list) else (value,),
    str,
)


def _read_header_name(value: object) -> str:
    text = TEXT.read(value)
    if text and not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+", text):
        raise SettingError(
            f"{text!r:.60} must be the name of a header", "Use letters, digits and '-'."
        )
    return text


def _read_header_names(value: object) -> tuple[str, ...]:
    return tuple(_read_header_name(name) for name in TEXTS.read(value))


def _read_headers(value: object) -> Mapping[str, str]:
    headers = TEXT_MAP.read(value)
    for name, text in headers.items():
        try:
            _read_header_name(name)
        except SettingError as error:
            raise SettingError(error.message, error.hint, key=(name,)) from None
        if any((ord(sign) < 32 and sign != "\t") or ord(sign) == 127 for sign in text):
            raise SettingError(
                "must not contain line breaks or other control characters", key=(name,)
            )
    return headers


HEADER_NAME: Final[Kind[str]] = Kind("name of a header", _read_header_name, str)
HEADER_NAMES: Final[Kind[tuple[str, ...]]] = Kind("list of headers", _read_header_names, str)
HEADERS: Final[Kind[Mapping[str, str]]] = Kind("map of headers", _read_headers, str)

COMMON_FORM: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "actor": ("id", "display_name", "email", "handle"),
        "subject": ("id", "title", "kind"),
        "env_time": ("created", "updated"),
        "url": ("href", "label"),
        "body": ("text", "format"),
    }
)
"""The common form, in which the responses of different APIs look alike."""


def _read_projection(value: object) -> Mapping[str, Mapping[str, str]]:
    return read_keys(
        value,
        {
            bucket: partial(read_keys, readers=dict.fromkeys(names, read_some_text))
            for bucket, names in COMMON_FORM.items()
        },
    )


PROJECTION: Final[Kind[Mapping[str, Mapping[str, str]]]] = Kind(
    "map of " + ", ".join(COMMON_FORM), _read_projection, str
)


def _read_method(value: object) -> str:
    text = TEXT.read(value)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.\-/]*", text):
        raise SettingError(f"must be the name of a method, not {text!r:.40}")
    return text


METHOD: Final[Kind[str]] = Kind("method", _read_method, str)


def _read_sha256(value: object) -> str:
    text = str(value).strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise SettingError("must be a SHA-256 in hex", "`mcp-gateway cap pin FILE` writes it.")
    return text


SHA256: Final[Kind[str]] = Kind("64 hex digits", _read_sha256, str)
