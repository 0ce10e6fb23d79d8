"""Conversion of OpenAPI documents into capabilities, one for each operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from mcpgw.capabilities.parsing import check_document
from mcpgw.config.problems import ConfigError
from mcpgw.openapi_import.documents import capability_document, provider_config, tags_of
from mcpgw.openapi_import.filters import Filter
from mcpgw.openapi_import.loading import ImportProblem
from mcpgw.openapi_import.operations import response_of
from mcpgw.openapi_import.request_building import RequestBuilder
from mcpgw.openapi_import.results import Conversion, Imported, Skipped
from mcpgw.openapi_import.schemas import References, Schemas
from mcpgw.openapi_import.security import Security
from mcpgw.openapi_import.servers import base_url
from mcpgw.openapi_import.texts import identifier, operation_name

METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
UNSENT: Final = ("trace",)
"""Methods whose operations are skipped."""

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
      scan: checks texts for tool poisoning.
      allow: names of capabilities that are imported whatever `scan` finds.
      warn_only: whether findings are only noted, for all of them.
      progress: called after each operation.

    Raises:
      ImportProblem: the document has no operations.
    """
    converter = _Converter(document, source, prefix, auth_key, cost_per_call, deprecated, scan)
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
    scan: Scan | None
    allow: frozenset[str] = attrs.field(factory=frozenset, init=False)
    warn_only: bool = attrs.field(default=False, init=False)
    references: References = attrs.field(init=False)
    schemas: Schemas = attrs.field(init=False)
    security: Security = attrs.field(init=False)
    requests: RequestBuilder = attrs.field(init=False)
    names: dict[str, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        remote = "://" in self.source
        folder = None if remote else Path(self.source).parent
        self.references = References(self.document, folder)
        version = str(self.document.get("openapi") or self.document.get("swagger") or "")
        self.schemas = Schemas(self.references, old=not version.startswith("3.1"))
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
        return f"{method.upper()} is not supported" if method in UNSENT else ""

    def _import(
        self, path: str, item: Mapping[str, Any], method: str, operation: Mapping[str, Any]
    ) -> Imported:
        credentials = self.security.of(operation)
        request = self.requests.build(item, method, operation, credentials.sent)
        request.notes[:0] = credentials.notes
        filled = request.path(path)
        name = self._name(operation_name(operation.get("operationId"), method, path, self.prefix))
        response = response_of(operation, self.schemas, self.references)
        variable = f"{(self.security.owner or 'api').upper()}_BASE_URL"
        url, note = base_url(self.document, self.source, item, operation, variable=variable)
        request.notes += [note] if note else []
        config = provider_config(url, filled, method, request, credentials, response)
        document = capability_document(
            name, method, operation, request, config, cost_per_call=self.cost_per_call
        )
        if response.schema is not None:
            document["schema"]["output"] = response.schema
        if credentials.auth is not None:
            document["auth"] = credentials.auth
        return Imported(name, document, method.upper(), path, tuple(dict.fromkeys(request.notes)))

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
        tool = {
            "name": imported.name,
            "description": imported.document["description"],
            "inputSchema": imported.document["schema"]["input"],
        }
        found = self.scan(raw, tool)
        if not found:
            return imported, ""
        text = f"tool poisoning: {'; '.join(found)}"
        if imported.name in self.allow or self.warn_only:
            notes = (*imported.notes, f"Imported in spite of {text}")
            return attrs.evolve(imported, notes=notes, suspicious=True), ""
        return imported, text


def _invalid(imported: Imported) -> str:
    """Return why the capability could not be read back from its file, "" if it could."""
    try:
        check_document(Path(f"{imported.name}.yaml"), imported.document)
    except ConfigError as error:
        return f"it cannot be written as a capability: {error}"
    return ""
