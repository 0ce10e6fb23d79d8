"""Values of capability files: names of headers, and values that a response is compared with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

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
