"""Conversion of OpenAPI documents into capabilities, one for each operation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from mcpgw.capabilities.model import METHODS as SENT
from mcpgw.capabilities.parsing import check_document
from mcpgw.config.problems import ConfigError
from mcpgw.openapi_import.definitions import Definitions
from mcpgw.openapi_import.documents import capability_document, provider_config, tags_of
from mcpgw.openapi_import.filters import Filter
from mcpgw.openapi_import.loading import ImportProblem
from mcpgw.openapi_import.reading import Read, local_reader
from mcpgw.openapi_import.references import References, uri_of
from mcpgw.openapi_import.request_building import RequestBuilder
from mcpgw.openapi_import.responses import Responses
from mcpgw.openapi_import.results import Conversion, Imported, Skipped
from mcpgw.openapi_import.schemas import Schemas
from mcpgw.openapi_import.security import Security
from mcpgw.openapi_import.servers import base_url
from mcpgw.openapi_import.texts import identifier, operation_name

METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options", "trace", "query")
MOST_COMPONENTS: Final = 250
"""Components in an input schema; further ones allow any value."""
LARGEST: Final = 400_000
"""Characters of the schemas as JSON; a capability file has a limit."""

Scan = Callable[[str, dict[str, Any]], list[str]]
"""Scans a text and a tool definition; returns why a model must not read them."""


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
    base_url: str = "",
    private: Callable[[str], bool] | None = None,
    read: Read | None = None,
    scan: Scan | None = None,
    allow: Iterable[str] = (),
    warn_only: bool = False,
    progress: Callable[[], None] | None = None,
) -> Conversion:
    """Convert the operations of a document into capabilities.

    Args:
      document: a document from `load`.
      source: its file or URL, which relative servers and references are resolved against.
      prefix: prefix of the capabilities' names.
      include: operations to import; all by default.
      exclude: operations to skip.
      auth_key: reference to the credential; by default one is derived for each security scheme.
      cost_per_call: price of a call, in USD.
      deprecated: whether to import deprecated operations too.
      base_url: base URL in place of the servers of the document.
      private: returns whether requests to a host may go to a private address.
      read: reads documents that are referred to; by default those around a local document.
      scan: checks texts for tool poisoning.
      allow: names of capabilities that are imported whatever `scan` finds.
      warn_only: whether findings are only noted, for all of them.
      progress: called after each operation.

    Raises:
      ImportProblem: the document has no operations, or most of its references cannot be
        resolved.
    """
    if read is None and "://" not in source:
        read = local_reader(Path(source))
    converter = _Converter(
        document,
        source,
        prefix,
        auth_key,
        cost_per_call,
        deprecated,
        base_url,
        private or (lambda host: False),
        scan,
        References(document, uri_of(source), read),
    )
    converter.allow, converter.warn_only = frozenset(allow), warn_only
    return converter.run(include or Filter(), exclude or Filter(), progress)


@attrs.define(eq=False)
class _Converter:
    document: Mapping[str, Any]
    source: str
    prefix: str
    auth_key: str | None
    cost_per_call: float
    deprecated: bool
    base_url: str
    private: Callable[[str], bool]
    scan: Scan | None
    references: References
    allow: frozenset[str] = attrs.field(factory=frozenset, init=False)
    warn_only: bool = attrs.field(default=False, init=False)
    schemas: Schemas = attrs.field(init=False)
    definitions: Definitions = attrs.field(init=False)
    responses: Responses = attrs.field(init=False)
    security: Security = attrs.field(init=False)
    requests: RequestBuilder = attrs.field(init=False)
    names: dict[str, int] = attrs.field(factory=dict, init=False)
    operations: set[str] = attrs.field(factory=set, init=False)
    clean: set[str] = attrs.field(factory=set, init=False)
    """Components, as JSON, in which the scan found nothing."""

    def __attrs_post_init__(self) -> None:
        self.schemas = Schemas(self.references, "readOnly")
        self.definitions = Definitions(self.schemas.definition, MOST_COMPONENTS)
        self.responses = Responses(self.references)
        self.requests = RequestBuilder(self.document, self.references, self.schemas)
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
            self.operations.add(f"{method.upper()} {path}")
            reason, suspicious = self._unwanted(method, path, operation, include, exclude), ""
            if not reason:
                imported = self._import(path, item, method, operation)
                imported, reason = self._screened(operation, imported)
                suspicious = imported.name if reason else ""
                reason = reason or _invalid(imported)
                if not reason:
                    found.append(imported)
            if reason:
                skipped.append(Skipped(method.upper(), path, reason, suspicious))
            if progress is not None:
                progress()
        self._check_references()
        if not found and not skipped:
            raise ImportProblem(f"{self.source} has no operations")
        found.sort(key=lambda each: each.name)
        return Conversion(
            tuple(found),
            tuple(skipped),
            tuple(self.references.notes),
            source_name(self.source),
            frozenset(self.operations),
        )

    def _check_references(self) -> None:
        failed, followed = len(self.references.failed), len(self.references.followed)
        if failed * 2 <= followed:
            return
        notes = list(self.references.notes)
        shown = "; ".join(notes[:3]) + (f"; and {len(notes) - 3} more" if len(notes) > 3 else "")
        raise ImportProblem(
            f"{failed} of {followed} references of {self.source} cannot be resolved: {shown}."
            " Import the document together with its files, or bundle it into one."
        )

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
            more = item.get("additionalOperations")  # OpenAPI 3.2.0
            for method, operation in more.items() if isinstance(more, Mapping) else ():
                if isinstance(operation, Mapping):
                    yield str(path), item, str(method).lower(), operation

    def _unwanted(
        self,
        method: str,
        path: str,
        operation: Mapping[str, Any],
        include: Filter,
        exclude: Filter,
    ) -> str:
        """Return why an operation is not to be imported, "" if it is."""
        tags = tags_of(operation)
        own = operation.get("operationId")
        names = [str(own)] if isinstance(own, str) else []
        names.append(operation_name(own, method, path, self.prefix))
        if include and not include.fits(method, path, names, tags):
            return "not included"
        if exclude and exclude.fits(method, path, names, tags):
            return "excluded"
        if operation.get("deprecated") is True and not self.deprecated:
            return "deprecated"
        return "" if method.upper() in SENT else f"{method.upper()[:20]} is not supported"

    def _import(
        self, path: str, item: Mapping[str, Any], method: str, operation: Mapping[str, Any]
    ) -> Imported:
        credentials = self.security.of(operation)
        request = self.requests.build(item, method, operation, credentials.sent)
        request.notes[:0] = credentials.notes
        filled = request.path(path)
        name = self._name(operation_name(operation.get("operationId"), method, path, self.prefix))
        response = self.responses.of(operation)
        url, note = self._server(item, operation)
        request.notes += [note] if note else []
        config = provider_config(url, filled, method, request, credentials, response)
        inputs = self.definitions.assembled(request.input_schema())
        if self.definitions.left_out:
            request.notes.append(
                "its schema is too large: components deep within it allow any value"
            )
        document = capability_document(
            name, method, operation, request, config, inputs, cost_per_call=self.cost_per_call
        )
        if response.schema is not None:
            document["schema"]["output"] = response.schema
        if credentials.auth is not None:
            document["auth"] = credentials.auth
        if self.private(urlsplit(url).hostname or ""):
            document["network"] = {"allow_private": True}
        return Imported(name, document, method.upper(), path, tuple(dict.fromkeys(request.notes)))

    def _server(self, item: Mapping[str, Any], operation: Mapping[str, Any]) -> tuple[str, str]:
        if self.base_url:
            return self.base_url.rstrip("/"), ""
        variable = f"{(self.security.owner or 'api').upper()}_BASE_URL"
        return base_url(self.document, self.source, item, operation, variable=variable)

    def _name(self, name: str) -> str:
        """Return a name that no other capability of this document has."""
        count = self.names.get(name, 0) + 1
        self.names[name] = count
        if count == 1:
            return name
        while f"{name}_{count}" in self.names:
            count += 1
        self.names[f"{name}_{count}"] = 1
        return f"{name}_{count}"

    def _screened(self, operation: Mapping[str, Any], imported: Imported) -> tuple[Imported, str]:
        """Return the capability, with a note if it is imported in spite of findings, and the
        reason if it is not."""
        if self.scan is None:
            return imported, ""
        raw = "\n".join(
            str(operation[key]) for key in ("summary", "description") if key in operation
        )
        found = self._findings(self.scan, raw, imported)
        if not found:
            return imported, ""
        text = f"tool poisoning: {'; '.join(found)}"
        if imported.name in self.allow or self.warn_only:
            notes = (*imported.notes, f"Imported in spite of {text}")
            return attrs.evolve(imported, notes=notes, suspicious=True), ""
        return imported, text

    def _findings(self, scan: Scan, raw: str, imported: Imported) -> list[str]:
        """Scan an operation; components without findings are scanned once for all operations.

        The gateway scans the whole definition when it loads the file.
        """
        schema = dict(imported.document["schema"]["input"])
        components = schema.pop("$defs", {})
        tool = {"name": imported.name, "description": imported.document["description"]}
        found = list(scan(raw, {**tool, "inputSchema": schema}))
        for key, component in components.items():
            content = json.dumps(component)
            if content not in self.clean:
                part = {"type": "object", "properties": {key: component}}
                more = scan("", {**tool, "description": "", "inputSchema": part})
                found += more
                if not more:
                    self.clean.add(content)
        return found


def source_name(source: str) -> str:
    """Return the name of a document for its files: its URL without a query, or its file name."""
    if "://" not in source:
        return Path(source).name
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _invalid(imported: Imported) -> str:
    """Return why the capability could not be read back from its file, "" if it could."""
    schema = imported.document["schema"]
    if "output" in schema and len(json.dumps(schema)) > LARGEST:
        del schema["output"]
    if len(json.dumps(schema)) > LARGEST:
        return "its schema is too large for a capability file"
    try:
        check_document(Path(f"{imported.name}.yaml"), imported.document)
    except ConfigError as error:
        return f"it cannot be written as a capability: {error}"
    return ""
