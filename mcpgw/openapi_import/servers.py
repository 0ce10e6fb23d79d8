"""Base URLs: the server of an operation, as OpenAPI 3 or Swagger 2.0 declares it."""

from __future__ import annotations

from collections.abc import Mapping
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
    url = _swagger_server(document, source) if "swagger" in document else ""
    for server in servers:
        if isinstance(server, Mapping) and isinstance(server.get("url"), str):
            url = _with_variables(server)
            break
    whole = urljoin(base, url) if base else url
    try:
        parts = urlsplit(whole)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and "{" not in whole
    except ValueError:
        good = False
    if good and not base:
        return whole.rstrip("/"), ""
    if good:
        origin = f"{parts.scheme}://{parts.netloc}"
        return (whole if url else origin).partition("?")[0].rstrip("/"), ""
    path = url if url.startswith("/") and "{" not in url else ""
    return (
        f"{{env.{variable}}}{path.rstrip('/')}",
        f"the document declares no server: set {variable} to its URL",
    )


def _swagger_server(document: Mapping[str, Any], source: str) -> str:
    """Return the server of a Swagger 2.0 document."""
    schemes = [str(each) for each in as_list(document.get("schemes"))]
    host, path = document.get("host"), document.get("basePath") or ""
    if not isinstance(host, str) or not host:
        return str(path)
    own = urlsplit(source).scheme if "://" in source else "https"
    scheme = "https" if "https" in schemes or not schemes else schemes[0]
    return f"{scheme if schemes else own}://{host}{path if isinstance(path, str) else ''}"


def _with_variables(server: Mapping[str, Any]) -> str:
    """Return the URL of a server with the defaults of its variables."""
    url = str(server["url"]).strip()
    variables = server.get("variables")
    for name, each in variables.items() if isinstance(variables, Mapping) else ():
        if isinstance(each, Mapping) and "default" in each:
            url = url.replace(f"{{{name}}}", str(each["default"]))
    return url
