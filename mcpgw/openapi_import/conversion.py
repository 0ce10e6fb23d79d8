"""From an OpenAPI document to capabilities, one for each operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import attrs

from mcpgw.capabilities.parsing import check_document
from mcpgw.config.problems import ConfigError
from mcpgw.openapi_import.filters import Filter
from mcpgw.openapi_import.loading import ImportProblem
from mcpgw.openapi_import.operations import Request, answer_of
from mcpgw.openapi_import.schemas import References, Schemas
from mcpgw.openapi_import.security import Security
from mcpgw.openapi_import.texts import identifier, operation_name, sentence

METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
UNSENT: Final = ("trace",)
CACHED: Final = 60
"""Seconds for which the answer to a GET is given again."""
_CURSORS: Final = ("cursor", "page_token", "pageToken", "next_token", "nextToken", "after")
_NEXT: Final = ("next_cursor", "nextCursor", "nextPageToken", "next_page_token", "nextToken")

Scan = Callable[[str, dict[str, Any]], list[str]]
"""Looks texts and a tool definition over; returns why they must not reach a model."""


@attrs.frozen
class Imported:
    """A capability that was made of an operation, as the data of its file."""

    name: str
    document: dict[str, Any]
    method: str
    path: str
    notes: tuple[str, ...] = ()


@attrs.frozen
class Skipped:
    """An operation of which none was made, and why."""

    method: str
    path: str
    reason: str


@attrs.frozen
class Conversion:
    """What became of a document."""

    capabilities: tuple[Imported, ...]
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()


def convert(
    document: Mapping[str, Any],
    *,
    source: str,
    prefix: str = "",
    include: Filter | None = None,
    exclude: Filter | None = None,
    auth_key: str | None = None,
    cost_per_call: float = 0.0,
    deprecated: bool = False,
    scan: Scan | None = None,
    progress: Callable[[], None] | None = None,
) -> Conversion:
    """Make capabilities of a document.

    Args:
      document: as `load` gives it.
      source: its file or URL; relative servers and references are below it.
      prefix: what the names begin with.
      include, exclude: which operations; all where nothing is said.
      auth_key: a reference to the credential, in place of those that are made up.
      cost_per_call: price of a call, in USD.
      deprecated: whether deprecated operations are taken too.
      scan: looks for texts that are meant to talk a model into something.
      progress: told after each operation.

    Raises:
      ImportProblem: there is no operation in it.
    """
    return _Converter(document, source, prefix, auth_key, cost_per_call, deprecated, scan).run(
        include or Filter(), exclude or Filter(), progress
    )


def rank(conversion: Conversion, most: int) -> Conversion:
    """Return the most useful capabilities, at most so many, in their order."""
    scored = sorted(conversion.capabilities, key=lambda each: -_usefulness(each))[:most]
    kept = {each.name for each in scored}
    left = tuple(
        Skipped(each.method, each.path, f"not among the {most} most useful")
        for each in conversion.capabilities
        if each.name not in kept
    )
    chosen = tuple(each for each in conversion.capabilities if each.name in kept)
    return attrs.evolve(conversion, capabilities=chosen, skipped=conversion.skipped + left)


def _usefulness(each: Imported) -> int:
    """Score a capability from 0 to 100: described, easy to call, with a known answer."""
    schema = each.document["schema"]
    inputs = schema["input"].get("properties", {})
    text = each.document.get("description", "")
    points = 30 if text and text != f"{each.method} {each.path}" else 0
    points += 15 if schema["input"].get("required") else 0
    points += 15 if 1 <= len(inputs) <= 5 else 0
    points += 10 if each.method in ("GET", "POST") else 0
    points += 10 if len(each.name) > 5 else 0
    points += 10 if "output" in schema else 0
    return points + (10 if len(text) > 20 else 0)


@attrs.define(eq=False)
class _Converter:
    document: Mapping[str, Any]
    source: str
    prefix: str
    auth_key: str | None
    cost_per_call: float
    deprecated: bool
    scan: Scan | None
    references: References = attrs.field(init=False)
    schemas: Schemas = attrs.field(init=False)
    security: Security = attrs.field(init=False)
    names: dict[str, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        remote = "://" in self.source
        folder = None if remote else Path(self.source).parent
        self.references = References(self.document, folder)
        version = str(self.document.get("openapi") or self.document.get("swagger") or "")
        self.schemas = Schemas(self.references, old=not version.startswith("3.1"))
        info = self.document.get("info")
        title = info.get("title") if isinstance(info, Mapping) else None
        owner = self.prefix or (title if isinstance(title, str) else "")
        words = "_".join(identifier(owner).split("_")[:3])
        self.security = Security(self.document, self.references, words, self.auth_key)

    def run(
        self, include: Filter, exclude: Filter, progress: Callable[[], None] | None
    ) -> Conversion:
        found: list[Imported] = []
        skipped: list[Skipped] = []
        for path, item, method, operation in self._operations():
            tags = [str(tag) for tag in _list(operation.get("tags"))]
            own = operation.get("operationId")
            names = [str(own)] if isinstance(own, str) else []
            names.append(operation_name(own, method, path, self.prefix))
            reason = ""
            if include and not include.fits(method, path, names, tags):
                reason = "not included"
            elif exclude and exclude.fits(method, path, names, tags):
                reason = "excluded"
            elif operation.get("deprecated") is True and not self.deprecated:
                reason = "deprecated"
            elif method in UNSENT:
                reason = f"{method.upper()} is not sent"
            if not reason:
                made = self._operation(path, item, method, operation, tags)
                reason = self._suspicious(operation, made) or _unsound(made)
                if not reason:
                    found.append(made)
            if reason:
                skipped.append(Skipped(method.upper(), path, reason))
            if progress is not None:
                progress()
        if not found and not skipped:
            raise ImportProblem(f"{self.source} has no operations")
        found.sort(key=lambda each: each.name)
        return Conversion(tuple(found), tuple(skipped), tuple(self.references.notes))

    def _operations(
        self,
    ) -> Iterator[tuple[str, Mapping[str, Any], str, Mapping[str, Any]]]:
        paths = self.document.get("paths") or {}
        for path, node in paths.items():
            item = self.references.follow(node)
            if not isinstance(item, Mapping) or not str(path).startswith("/"):
                continue
            for method in METHODS:
                operation = self.references.follow(item.get(method))
                if isinstance(operation, Mapping):
                    yield str(path), item, method, operation

    def _suspicious(self, operation: Mapping[str, Any], made: Imported) -> str:
        if self.scan is None:
            return ""
        raw = "\n".join(
            str(operation[key]) for key in ("summary", "description") if key in operation
        )
        tool = {
            "name": made.name,
            "description": made.document["description"],
            "inputSchema": made.document["schema"]["input"],
        }
        found = self.scan(raw, tool)
        return f"tool poisoning: {'; '.join(found)}" if found else ""

    # -- one operation ------------------------------------------------------------------------

    def _operation(
        self,
        path: str,
        item: Mapping[str, Any],
        method: str,
        operation: Mapping[str, Any],
        tags: list[str],
    ) -> Imported:
        credentials = self.security.of(operation)
        request = Request(self.schemas, credentials.sent)
        request.notes += credentials.notes
        self._parameters(request, item, operation)
        self._body(request, method, operation)
        filled = request.path(path)
        name = self._name(operation_name(operation.get("operationId"), method, path, self.prefix))
        answer = answer_of(operation, self.schemas, self.references)
        config: dict[str, Any] = {
            "base_url": self._server(item, operation, request),
            "path": filled,
            "method": method.upper(),
        }
        headers = {**request.headers, **credentials.headers}
        if request.cookies:
            headers["Cookie"] = "; ".join(request.cookies)
        params = {**request.params, **credentials.params}
        config |= {k: v for k, v in (("params", params), ("headers", headers)) if v}
        if request.array_style and request.array_style != "repeat":
            config["array_style"] = request.array_style
        if request.body is not None:
            config["body"] = request.body
            if request.content_type:
                config["body_content_type"] = request.content_type
        if answer.form:
            config["response_format"] = answer.form
        if (pages := _pagination(request, answer.schema)) is not None:
            config["pagination"] = pages
        document = self._document(name, method, operation, request, config, tags)
        if answer.schema is not None:
            document["schema"]["output"] = answer.schema
        if credentials.auth is not None:
            document["auth"] = credentials.auth
        return Imported(name, document, method.upper(), path, tuple(dict.fromkeys(request.notes)))

    def _document(
        self,
        name: str,
        method: str,
        operation: Mapping[str, Any],
        request: Request,
        config: dict[str, Any],
        tags: list[str],
    ) -> dict[str, Any]:
        reads = method in ("get", "head", "options")
        title = sentence(operation.get("summary"), 80)
        provider: dict[str, Any] = {"service": "rest", "timeout": 30, "config": config}
        if self.cost_per_call:
            provider["cost_per_call"] = self.cost_per_call
        document: dict[str, Any] = {"fulcrum": "1.0", "name": name}
        if title:
            document["title"] = title
        document["description"] = _described(operation, method, config["path"])
        document["schema"] = {"input": request.input_schema()}
        document["providers"] = {"primary": provider}
        if reads:
            document["cache"] = {"strategy": "exact", "ttl": CACHED}
        own = [identifier(tag) for tag in tags if identifier(tag)]
        document["metadata"] = {
            "category": "api",
            "tags": list(dict.fromkeys(["openapi", *own]))[:8],
            "cost_category": "unknown",
            "execution_time": "medium",
            "read_only": reads,
            "destructive": method == "delete",
            "idempotent": method in ("get", "head", "options", "put", "delete"),
        }
        docs = operation.get("externalDocs")
        if isinstance(docs, Mapping) and str(docs.get("url", "")).startswith("http"):
            document["metadata"]["docs"] = str(docs["url"])
        if (example := request.example()) is not None:
            document["examples"] = [{"description": "From the document.", "arguments": example}]
        return document

    def _parameters(
        self, request: Request, item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> None:
        """Take the parameters of the path and of the operation; those of the operation win."""
        found: dict[tuple[Any, Any], Mapping[str, Any]] = {}
        for node in (*_list(item.get("parameters")), *_list(operation.get("parameters"))):
            parameter = self.references.follow(node)
            if isinstance(parameter, Mapping) and parameter:
                found[str(parameter.get("in")), str(parameter.get("name"))] = parameter
        form: dict[str, Mapping[str, Any]] = {}
        for (place, name), parameter in found.items():
            if place == "body":
                kind = self._consumes(operation, ("application/json",))
                request.payload(
                    kind,
                    parameter.get("schema"),
                    required=parameter.get("required") is True,
                    about=parameter.get("description"),
                )
            elif place == "formData":
                form[name] = parameter
            else:
                request.parameter(parameter)
        if form:
            self._form(request, operation, form)

    def _form(
        self, request: Request, operation: Mapping[str, Any], form: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Take the form of a Swagger 2.0 operation."""
        files = any(each.get("type") == "file" for each in form.values())
        usual = "multipart/form-data" if files else "application/x-www-form-urlencoded"
        kind = usual if files else self._consumes(operation, (usual, "multipart/form-data"))
        properties = {
            name: {**each, "format": "binary"} if each.get("type") == "file" else dict(each)
            for name, each in form.items()
        }
        for each in properties.values():
            each.pop("required", None)
        needed = [name for name, each in form.items() if each.get("required") is True]
        schema = {"type": "object", "properties": properties, "required": needed}
        request.payload(kind, schema, required=True)

    def _consumes(self, operation: Mapping[str, Any], known: tuple[str, ...]) -> str:
        wanted = [str(k) for k in _list(operation.get("consumes", self.document.get("consumes")))]
        return next((kind for kind in wanted if kind in known), known[0])

    def _body(self, request: Request, method: str, operation: Mapping[str, Any]) -> None:
        node = self.references.follow(operation.get("requestBody"))
        if not isinstance(node, Mapping) or not isinstance(node.get("content"), Mapping):
            return
        if method in ("get", "head"):
            request.notes.append(f"a {method.upper()} has no body; it is left out")
            return
        required = node.get("required") is True
        request.content(node["content"], required=required, about=node.get("description"))

    def _name(self, name: str) -> str:
        count = self.names.get(name, 0) + 1
        self.names[name] = count
        if count == 1:
            return name
        while f"{name}_{count}" in self.names:
            count += 1
        self.names[f"{name}_{count}"] = 1
        return f"{name}_{count}"

    # -- servers ------------------------------------------------------------------------------

    def _server(
        self, item: Mapping[str, Any], operation: Mapping[str, Any], request: Request
    ) -> str:
        servers = (
            _list(operation.get("servers"))
            or _list(item.get("servers"))
            or _list(self.document.get("servers"))
        )
        base = self.source if "://" in self.source else ""
        url = self._old_server() if "swagger" in self.document else ""
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
            return whole.rstrip("/")
        if good:
            origin = f"{parts.scheme}://{parts.netloc}"
            return (whole if url else origin).partition("?")[0].rstrip("/")
        variable = f"{(self.security.owner or 'api').upper()}_BASE_URL"
        request.notes.append(f"the document names no server: set {variable} to its URL")
        path = url if url.startswith("/") and "{" not in url else ""
        return f"{{env.{variable}}}{path.rstrip('/')}"

    def _old_server(self) -> str:
        """Return the server of a Swagger 2.0 document."""
        schemes = [str(each) for each in _list(self.document.get("schemes"))]
        host, path = self.document.get("host"), self.document.get("basePath") or ""
        if not isinstance(host, str) or not host:
            return str(path)
        own = urlsplit(self.source).scheme if "://" in self.source else "https"
        scheme = "https" if "https" in schemes or not schemes else schemes[0]
        return f"{scheme if schemes else own}://{host}{path if isinstance(path, str) else ''}"


def _unsound(made: Imported) -> str:
    """Return why a capability could not be read back, "" where it can."""
    try:
        check_document(Path(f"{made.name}.yaml"), made.document)
    except ConfigError as error:
        return f"it cannot be made a file: {error}"
    return ""


def _with_variables(server: Mapping[str, Any]) -> str:
    url = str(server["url"]).strip()
    variables = server.get("variables")
    for name, each in variables.items() if isinstance(variables, Mapping) else ():
        if isinstance(each, Mapping) and "default" in each:
            url = url.replace(f"{{{name}}}", str(each["default"]))
    return url


def _described(operation: Mapping[str, Any], method: str, path: str) -> str:
    summary, more = sentence(operation.get("summary")), sentence(operation.get("description"))
    if summary and more and summary.rstrip(".").lower() not in more.lower():
        stop = "" if summary.endswith((".", "!", "?", "…")) else "."
        return sentence(f"{summary}{stop} {more}")
    return more or summary or f"{method.upper()} {path}"


def _pagination(request: Request, schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return how pages are read on, where a document is plain about it."""
    properties = schema.get("properties") if schema else None
    if not isinstance(properties, Mapping):
        return None
    parameter = next((name for name in _CURSORS if name in request.params), None)
    following = next((name for name in _NEXT if name in properties), None)
    lists = [
        name
        for name, each in properties.items()
        if isinstance(each, Mapping) and "array" in _list_of(each.get("type"))
    ]
    if parameter is None or following is None or len(lists) != 1:
        return None
    return {"style": "cursor", "parameter": parameter, "next": following, "items": lists[0]}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
