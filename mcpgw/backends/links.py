"""URLs of a server that a client may open or show: links to visit, and icons.

A client shows a link to a person, who trusts the gateway's name. Only web pages are passed on (MCP
2025-11-25, elicitation, URL mode, and icons): a `javascript:` or `file:` URL would run or read
something on the person's machine, a user in front of the host or a mark of direction would hide
the real host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from mcpgw.observe.printable import printable

LONGEST: Final = 8_192
"""Characters of a link; no browser needs more."""
WITH_ICONS: Final = ("tools", "resources", "resourceTemplates", "prompts")


def link_fault(url: object) -> str:
    """Return why a person must not be asked to open a URL, or ""."""
    if not isinstance(url, str) or not url:
        return "it has no URL"
    if len(url) > LONGEST:
        return f"its URL is longer than {LONGEST} characters"
    if printable(url) != url or any(map(str.isspace, url)) or "\\" in url:
        return "its URL has characters that hide where it leads"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "its URL is not valid"
    if parts.scheme not in ("http", "https"):
        return "its URL must start with https:// or http://"
    if not host:
        return "its URL has no host"
    if "@" in parts.netloc:
        return "its URL has a user in front of the host, which hides where it leads"
    return ""


def elicitation_fault(method: object, params: object) -> str:
    """Return why a server's request must not reach a client, or ""; only for URL mode."""
    if method != "elicitation/create" or not isinstance(params, Mapping):
        return ""
    if params.get("mode") != "url" and "url" not in params:
        return ""
    return link_fault(params.get("url"))


def input_fault(requests: object) -> str:
    """Return why the input requests of a result must not reach a client, or ""."""
    each = requests.values() if isinstance(requests, Mapping) else ()
    faults = (
        elicitation_fault(one.get("method"), one.get("params"))
        for one in each
        if isinstance(one, Mapping)
    )
    return next(filter(None, faults), "")


def required_fault(data: object) -> str:
    """Return why the links of a URL-elicitation-required error must not reach a client, or ""."""
    listed = data.get("elicitations") if isinstance(data, Mapping) else None
    entries = listed if isinstance(listed, list) else ()
    links = (each.get("url") for each in entries if isinstance(each, Mapping))
    return next(filter(None, map(link_fault, links)), "")


def with_safe_images(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without icons and pages of other schemes than http(s), and `data:` images."""
    changed: dict[str, Any] = {}
    for key in WITH_ICONS:
        entries = result.get(key)
        if isinstance(entries, list) and any(_unsafe(each) for each in entries):
            changed[key] = [_safe(each) for each in entries]
    if _unsafe(result.get("serverInfo")):
        changed["serverInfo"] = _safe(result["serverInfo"])
    return {**result, **changed} if changed else result


def _unsafe(entry: Any) -> bool:
    return isinstance(entry, dict) and (
        ("icons" in entry and not _all_shown(entry["icons"]))
        or ("websiteUrl" in entry and bool(link_fault(entry["websiteUrl"])))
    )


def _safe(entry: Any) -> Any:
    if not _unsafe(entry):
        return entry
    kept = dict(entry)
    icons = kept.pop("icons", None)
    if isinstance(icons, list) and (good := [icon for icon in icons if _shown(icon)]):
        kept["icons"] = good
    if link_fault(kept.get("websiteUrl")):
        kept.pop("websiteUrl", None)
    return kept


def _all_shown(icons: Any) -> bool:
    return isinstance(icons, list) and all(map(_shown, icons))


def _shown(icon: Any) -> bool:
    source = icon.get("src") if isinstance(icon, Mapping) else None
    if isinstance(source, str) and source[:11].lower() == "data:image/":
        return True
    return not link_fault(source)
