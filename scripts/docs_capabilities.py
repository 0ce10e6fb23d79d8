"""Tables of the keys of capability files, for docs/capability-reference.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import attrs
from docs_tables import table

from mcpgw.capabilities import model

HEAD: Final = ("Key", "Type", "Default", "Description")
RESPONSE: Final = (
    "response_path",
    "response_format",
    "response_headers",
    "fails_when",
    "pagination",
)
"""Settings of a provider that are applied to its response."""
SERVICES: Final[Mapping[str, tuple[str, ...]]] = {
    "graphql": ("query", "variables"),
    "mcp": ("server", "tool", "arguments"),
    "cli": ("command", "stdin", "env", "output", "cwd"),
}
"""Settings of a provider that only one service uses; all others describe an HTTP request."""


def _rows(
    of: type[attrs.AttrsInstance], names: Iterable[str] = ()
) -> Iterator[tuple[str, str, str, str]]:
    wanted = tuple(names)
    for field in attrs.fields(of):
        if wanted and field.name not in wanted:
            continue
        key, metadata = field.name, field.metadata
        doc: str = metadata["doc"]
        if "kind" in metadata:
            kind = metadata["kind"]
            yield f"`{key}`", kind.words, f"`{_shown(field.default, kind.show)}`", doc
        elif "section" in metadata:
            yield f"`{key}`", "map", "", f"{doc} See below."
        elif "listed" in metadata:
            yield f"`{key}`", "list of maps", "`[]`", f"{doc} See below."
        elif "named" in metadata:
            yield f"`{key}`", "map of names to maps", "`{}`", f"{doc} See below."


def _shown(value: Any, show: Callable[[Any], str]) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, tuple) and not value:
        return "[]"
    if isinstance(value, Mapping) and not value:
        return "{}"
    return show(value)


def _section(of: type[attrs.AttrsInstance]) -> list[str]:
    return table(HEAD, _rows(of))


def top_level() -> list[str]:
    """Return the keys of a file."""
    rows = list(_rows(model.Capability))
    what = "`primary`, a provider, and `fallback`, a list of further ones, tried in order."
    providers = ("`providers`", "map", "", f"{what} Optional if there are `webhooks`.")
    own = [row for row in rows if row[0] not in ("`primary`", "`fallback`")]
    place = next(number for number, row in enumerate(own) if row[0] == "`schema`")
    return table(HEAD, [*own[: place + 1], providers, *own[place + 1 :]])


def provider() -> list[str]:
    """Return the keys of a provider."""
    return _section(model.Provider)


def request() -> list[str]:
    """Return the settings of an HTTP request."""
    others = {*RESPONSE, *(name for names in SERVICES.values() for name in names)}
    names = [f.name for f in attrs.fields(model.ProviderConfig) if f.name not in others]
    return table(HEAD, _rows(model.ProviderConfig, names))


def service(name: str) -> list[str]:
    """Return the settings that only one service uses."""
    return table(HEAD, _rows(model.ProviderConfig, SERVICES[name]))


def response() -> list[str]:
    """Return the settings that are applied to a response."""
    return table(HEAD, _rows(model.ProviderConfig, RESPONSE))


PARTS: Final[dict[str, Callable[[], list[str]]]] = {
    "capability-top-level": top_level,
    "capability-provider": provider,
    "capability-request": request,
    **{f"capability-{name}": partial(service, name) for name in SERVICES},
    "capability-response": response,
    **{
        f"capability-{name}": partial(_section, of)
        for name, of in (
            ("schema", model.Schemas),
            ("path-selector", model.PathSelector),
            ("pagination", model.Pagination),
            ("fails-when", model.FailureRule),
            ("auth", model.Auth),
            ("cache", model.CacheRule),
            ("rate-limit", model.RateRule),
            ("retry", model.RetryRule),
            ("metadata", model.Metadata),
            ("network", model.AllowedNetworks),
            ("webhook", model.WebhookRule),
            ("example", model.Example),
        )
    },
}
"""Parts that a page can include between markers."""
