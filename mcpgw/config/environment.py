"""Environment variables that the program reads, with their docs."""

from __future__ import annotations


class Variable(str):
    """The name of an environment variable, with its description and default for the docs."""

    doc: str
    default: str

    def __new__(cls, name: str, doc: str, default: str = "") -> Variable:
        variable = super().__new__(cls, name)
        variable.doc = doc
        variable.default = default
        return variable


OVERRIDE_PREFIX = "MCP_GATEWAY_"

CONFIG = Variable(
    "MCP_GATEWAY_CONFIG", "The gateway.yaml to read, like `--config`, which takes precedence."
)
HOME = Variable(
    "MCP_GATEWAY_HOME", "The state folder: logins, approvals, counters, skills.", "~/.mcp-gateway"
)
CONFIG_DIR = Variable(
    "MCP_GATEWAY_CONFIG_DIR", "Alias of MCP_GATEWAY_HOME, which takes precedence."
)
LOG_LEVEL = Variable(
    "MCP_GATEWAY_LOG_LEVEL", "Minimum level of log lines, like `--log-level`.", "info"
)
LOG_FORMAT = Variable("MCP_GATEWAY_LOG_FORMAT", "Format of log lines, like `--log-format`.")
OVERRIDE = Variable(
    f"{OVERRIDE_PREFIX}<SECTION>__<KEY>",
    "Overrides one key of gateway.yaml, for example MCP_GATEWAY_META_MCP__CACHE_TTL=1m; `__`"
    " separates the levels of maps, and the value is a YAML scalar or `[list]`.",
)
CHAIN = Variable(
    "MCP_GATEWAY_CHAIN",
    "Set for the commands of servers, so that a gateway that is among its own servers notices it.",
)
NO_COLOR = Variable("NO_COLOR", "If set to any value, disables colours in the output.")

ENVIRONMENT: tuple[Variable, ...] = (
    CONFIG,
    HOME,
    CONFIG_DIR,
    LOG_LEVEL,
    LOG_FORMAT,
    OVERRIDE,
    CHAIN,
    NO_COLOR,
)
