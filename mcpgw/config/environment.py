"""Every environment variable that the program reads, by name and meaning."""

from __future__ import annotations


class Variable(str):
    """The name of an environment variable that also knows its sentence for the docs."""

    doc: str
    default: str

    def __new__(cls, name: str, doc: str, default: str = "") -> Variable:
        variable = super().__new__(cls, name)
        variable.doc = doc
        variable.default = default
        return variable


OVERRIDE_PREFIX = "MCP_GATEWAY_"

CONFIG = Variable(
    "MCP_GATEWAY_CONFIG", "The gateway.yaml to read, as `--config`; the option comes first."
)
HOME = Variable(
    "MCP_GATEWAY_HOME", "The folder in which the gateway keeps what it learns.", "~/.mcp-gateway"
)
CONFIG_DIR = Variable(
    "MCP_GATEWAY_CONFIG_DIR", "The reference's name for MCP_GATEWAY_HOME, which comes first."
)
LOG_LEVEL = Variable(
    "MCP_GATEWAY_LOG_LEVEL", "The least important log lines to write, as `--log-level`.", "info"
)
LOG_FORMAT = Variable("MCP_GATEWAY_LOG_FORMAT", "The form of log lines, as `--log-format`.")
OVERRIDE = Variable(
    f"{OVERRIDE_PREFIX}<SECTION>__<KEY>",
    "Sets one key of gateway.yaml over the file, such as MCP_GATEWAY_META_MCP__CACHE_TTL=1m;"
    " each `__` goes one map deeper, the value is a YAML scalar or `[list]`.",
)
NO_COLOR = Variable("NO_COLOR", "Set to anything, it keeps colours out of what is printed.")

ENVIRONMENT: tuple[Variable, ...] = (
    CONFIG,
    HOME,
    CONFIG_DIR,
    LOG_LEVEL,
    LOG_FORMAT,
    OVERRIDE,
    NO_COLOR,
)
