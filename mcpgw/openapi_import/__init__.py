"""Import of OpenAPI documents (3.0 to 3.2 and Swagger 2.0) as capability files."""

from mcpgw.openapi_import.conversion import convert
from mcpgw.openapi_import.filters import Filter
from mcpgw.openapi_import.loading import ImportProblem, load
from mcpgw.openapi_import.probing import probe
from mcpgw.openapi_import.ranking import rank
from mcpgw.openapi_import.reading import Read, ReadProblem, remote_reader
from mcpgw.openapi_import.results import Conversion, Imported, Skipped
from mcpgw.openapi_import.writing import Written, write

__all__ = [
    "Conversion",
    "Filter",
    "ImportProblem",
    "Imported",
    "Read",
    "ReadProblem",
    "Skipped",
    "Written",
    "convert",
    "load",
    "probe",
    "rank",
    "remote_reader",
    "write",
]
