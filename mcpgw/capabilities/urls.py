"""URLs of requests: the template of a provider, filled with inputs as single segments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.model import ProviderConfig
from mcpgw.capabilities.serialization import path_text
from mcpgw.capabilities.styles import Serialization
from mcpgw.capabilities.templating import (
    Missing,
    Placeholder,
    Values,
    as_text,
    fill_text,
    parse,
)

_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PRINTED: Final = "".join(map(chr, range(0x21, 0x7F)))
_DOTS: Final = (".", "..")


def request_url(config: ProviderConfig, inputs: Mapping[str, Any], values: Values) -> str:
    """Return the URL of a request without the query of its parameters.

    Raises:
      CallProblem: it lacks an input, or an input changes its host or adds a dot segment.
    """
    template = config.endpoint or (config.base_url.rstrip("/") + _path(config, inputs))
    _check_host(template, values)
    styles = config.styles.path
    filled = fill_text(template, values, lambda value, part: _encode(value, part, styles))
    if isinstance(filled, Missing):
        absent = ", ".join(
            part.path
            for part in parse(template)
            if isinstance(part, Placeholder) and _is_missing(part, values)
        )
        raise CallProblem(f"missing inputs for the URL: {absent}.")
    # A fragment is never sent; the query of the parameters would become a part of it.
    whole = filled.partition("#")[0]
    authority, slash, rest = _split(whole)
    if any(segment in _DOTS for segment in rest.partition("?")[0].split("/")):
        raise CallProblem("'.' and '..' must not be path segments of a URL.")
    return authority + slash + quote(rest, safe=_PRINTED)


def _split(url: str) -> tuple[str, str, str]:
    """Return the scheme and authority of a URL, the slash after them, and the rest."""
    found = re.match(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?]*", url)
    end = found.end() if found else 0
    slash = "/" if url[end : end + 1] == "/" else ""
    return url[:end], slash, url[end + len(slash) :]


def _encode(value: Any, placeholder: Placeholder, styles: Mapping[str, Serialization]) -> str:
    """Percent-encode a value as a single path segment (RFC 3986), except for `{+name}`."""
    how = styles.get(placeholder.path)
    if placeholder.raw:
        text = as_text(value)
        if any(part in _DOTS for part in re.split(r"[/\\?#]", text)):
            raise CallProblem(f"{placeholder.path} must not contain '.' or '..' as a path segment.")
        return quote(text, safe=":/?#[]@!$&'()*+,;=%-._~")
    if how is not None:
        return path_text(placeholder.path, value, how)
    text = path_text(placeholder.path, value)
    if text in (*_DOTS, ""):
        # Such a segment is resolved as a relative path even if it is percent-encoded.
        raise CallProblem(f"{placeholder.path}: {text!r} must not be a path segment of a URL.")
    return text


def _is_missing(part: Placeholder, values: Values) -> bool:
    found = values.secret(part.secret) if part.secret is not None else values.input(part)
    return found is None or isinstance(found, Missing)


def _check_host(template: str, values: Values) -> None:
    """Refuse an input that changes the host that the file declares.

    One label of a name may be an input (`{language}.wikipedia.org`). A template that starts with
    `{+url}` leaves the whole URL to the caller; the guarded client checks its address.

    Raises:
      CallProblem: an input would change the host.
    """
    parts = parse(template)
    if parts and isinstance(parts[0], Placeholder) and parts[0].raw:
        return
    before = ""
    for place, part in enumerate(parts):
        if isinstance(part, str):
            before += part
        elif part.secret is not None:
            before += "0" if "://" in before else "secret://0"
        else:
            if before.count("/") >= 3:
                return
            after = parts[place + 1] if place + 1 < len(parts) else ""
            rest = after.partition("/")[0] if isinstance(after, str) else ""
            if not (rest.startswith(".") and rest.count(".") > 1 and before.endswith("://")):
                raise CallProblem(f"{part.text}: an input must not change the host of the URL.")
            label = str(values.input(part))
            if not _LABEL.fullmatch(label):
                raise CallProblem(
                    f"{part.path}: {label!r:.40} must be a valid label of a host name."
                )
            before += "0"


def _path(config: ProviderConfig, inputs: Mapping[str, Any]) -> str:
    selector = config.path_selector
    if selector is None or not selector.paths:
        path = config.path
    else:
        given = inputs.get(selector.parameter)
        chosen = selector.default if given is None else given
        if chosen not in selector.paths:
            known = ", ".join(selector.paths)
            raise CallProblem(f"{selector.parameter} must be one of {known}, not {chosen!r:.60}.")
        path = selector.paths[chosen]
    return path if not path or path.startswith(("/", "?", "{")) else f"/{path}"
