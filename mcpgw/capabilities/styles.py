"""Styles of parameters: settings of the form in which a value is sent."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from mcpgw.config.setting import named, setting
from mcpgw.config.value_types import FLAG, TEXT, TEXT_MAP, Kind, SettingError, optional

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

STYLES: Final = MappingProxyType(
    {
        "path": ("simple", "label", "matrix", "spaceDelimited", "pipeDelimited", "tabDelimited"),
        "query": (
            *("form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject"),
            *("brackets", "querystring"),
        ),
        "header": ("simple", "spaceDelimited", "pipeDelimited", "tabDelimited"),
        "cookie": ("form", "cookie"),
        "body": (
            *("form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject"),
            "brackets",
        ),
    }
)
"""Styles by the location of a parameter; the first one is the default."""


def _read_style(value: object) -> str:
    known = dict.fromkeys(style for styles in STYLES.values() for style in styles)
    for style in known:
        if isinstance(value, str) and value.lower() == style.lower():
            return style
    raise SettingError(f"must be one of {', '.join(known)}, not {value!r:.40}")


STYLE: Final[Kind[str]] = Kind("style", _read_style, str)


@attrs.frozen
class Serialization:
    """The form in which a value is sent, as in the OpenAPI parameter and encoding objects."""

    style: str = setting("", "The style; by default the first one of its location.", STYLE)
    explode: bool | None = setting(
        None,
        "Whether each member is separate; by default true for `form`, otherwise false.",
        optional(FLAG),
    )
    allow_reserved: bool = setting(
        False, "Whether reserved characters of a URL are sent unencoded.", FLAG
    )
    content_type: str = setting(
        "", "Media type of the value in place of a style; JSON text for JSON.", TEXT
    )
    name: str = setting("", "Name that `matrix` writes, if it is not the input's.", TEXT)
    headers: Mapping[str, str] = setting(
        NOTHING, "Templates of the headers of a part of a multipart body.", TEXT_MAP
    )


@attrs.frozen
class Styles:
    """Serialization of parameters, by location and name."""

    path: Mapping[str, Serialization] = attrs.field(
        default=NOTHING, metadata=named(Serialization, "Inputs in the path.")
    )
    query: Mapping[str, Serialization] = attrs.field(
        default=NOTHING, metadata=named(Serialization, "Query parameters.")
    )
    header: Mapping[str, Serialization] = attrs.field(
        default=NOTHING, metadata=named(Serialization, "Headers.")
    )
    cookie: Mapping[str, Serialization] = attrs.field(
        default=NOTHING, metadata=named(Serialization, "Cookies.")
    )
    body: Mapping[str, Serialization] = attrs.field(
        default=NOTHING, metadata=named(Serialization, "Fields of a form or multipart body.")
    )
