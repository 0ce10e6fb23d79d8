"""Base URLs: the server of an operation, as OpenAPI 3 or Swagger 2.0 declares it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from mcpgw.openapi_import.values import as_list


def base_url(
    document: Mapping[str, Any],
    source: str,
    item: Mapping[str, Any],
    operation: Mapping[str, Any],
    *,
    variable: str,
) -> tuple[str, str]:
    """Return the base URL of an operation, and a note if a person must set it.

    The servers of the operation win over those of its path item, and those over the document's.
    The first https server wins over http servers, so that no credential is sent in the clear.

    Args:
      document: the whole document.
      source: its file or URL; relative server URLs are resolved against a URL.
      item: the path item of the operation.
      operation: the operation.
      variable: the environment variable that holds the URL if the document declares none.
    """
    servers = (
        as_list(operation.get("servers"))
        or as_list(item.get("servers"))
        or as_list(document.get("servers"))
    )
    base = source if "://" in source else ""
    urls = [url for server in servers for url in _urls(server)]
    if not urls:
        urls = [_swagger_server(document, source)] if "swagger" in document else [""]
    whole = [_whole(base, url) for url in urls]
    usable = [each for each in whole if each]
    for each in (*(u for u in usable if u.startswith("https:")), *usable):
        return each.rstrip("/"), ""
    path = urls[0] if urls[0].startswith("/") and "{" not in urls[0] else ""
    return (
        f"{{env.{variable}}}{path.rstrip('/')}",
        f"the document declares no server: set {variable} to its URL, or import with --base-url",
    )


def _whole(base: str, url: str) -> str:
    """Return the absolute form of a server URL, "" if it has none."""
    try:
        whole = urljoin(base, url) if base else url
        parts = urlsplit(whole)
        if parts.scheme not in ("http", "https") or not parts.hostname or "{" in whole:
            return ""
    except ValueError:
        return ""
    if base and not url:
        return f"{parts.scheme}://{parts.netloc}"
    return whole.partition("#")[0].partition("?")[0]


def _swagger_server(document: Mapping[str, Any], source: str) -> str:
    """Return the server of a Swagger 2.0 document."""
    schemes = [str(each) for each in as_list(document.get("schemes"))]
    host, path = document.get("host"), document.get("basePath") or ""
    if not isinstance(host, str) or not host:
        return str(path)
    own = urlsplit(source).scheme if "://" in source else "https"
    scheme = "https" if "https" in schemes or not schemes else schemes[0]
    return f"{scheme if schemes else own}://{host}{path if isinstance(path, str) else ''}"


def _urls(server: Any) -> Iterator[str]:
    """Yield the URL of a server with the defaults of its variables, and its https form.

    A variable for the scheme often has the default `http` and `https` among its values.
    """
    if not isinstance(server, Mapping) or not isinstance(server.get("url"), str):
        return
    url = str(server["url"]).strip()
    variables = server.get("variables")
    for name, each in variables.items() if isinstance(variables, Mapping) else ():
        if not isinstance(each, Mapping):
            continue
        values = [str(value) for value in as_list(each.get("enum"))]
        value = each.get("default", values[0] if values else None)
        if str(value) == "http" and "https" in values and url.startswith(f"{{{name}}}:"):
            value = "https"
        if value is not None:
            url = url.replace(f"{{{name}}}", str(value))
    yield url
