"""Scanner for tool, prompt and server definitions that try to steer a model (rule AX-010)."""

from mcpgw.trust.poisoning.engine import scan_definition, scan_server, scan_text
from mcpgw.trust.poisoning.findings import Finding, Severity, worst
from mcpgw.trust.poisoning.walk import Kind

__all__ = [
    "Finding",
    "Kind",
    "Severity",
    "scan_definition",
    "scan_server",
    "scan_text",
    "worst",
]
