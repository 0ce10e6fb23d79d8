"""Capability files made of OpenAPI documents: 3.0, 3.1 and Swagger 2.0."""

from mcpgw.openapi_import.conversion import Conversion, Imported, Skipped, convert, rank
from mcpgw.openapi_import.filters import Filter
from mcpgw.openapi_import.loading import ImportProblem, load
from mcpgw.openapi_import.probing import probe
from mcpgw.openapi_import.writing import Written, write

__all__ = [
    "Conversion",
    "Filter",
    "ImportProblem",
    "Imported",
    "Skipped",
    "Written",
    "convert",
    "load",
    "probe",
    "rank",
    "write",
]
