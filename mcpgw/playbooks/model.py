"""The data model of playbooks: named sequences of tool calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from mcpgw.playbooks.conditions import Condition

OnError = Literal["abort", "continue", "retry"]


@attrs.frozen
class Step:
    """One call of a playbook; settings that are None are those of the playbook."""

    name: str
    tool: str
    server: str
    arguments: Mapping[str, Any] = attrs.field(factory=dict)
    condition: Condition | None = None
    on_error: OnError | None = None
    max_retries: int | None = None
    timeout: float | None = None
    """Seconds."""


@attrs.frozen
class Output:
    """One part of a playbook's output: a reference, and the value used if it has none."""

    path: str
    fallback: Any = None


@attrs.frozen
class Playbook:
    """Steps that run in order.

    Args:
      name, description: as clients see them.
      steps: the calls.
      inputs: JSON Schema of the inputs; None to accept any.
      output: parts of the output by name; empty for the results of all steps.
      on_error, max_retries: handling of failed steps; see `mcpgw.playbooks.runner`.
      timeout: seconds for the whole run.
      path: the source file.
    """

    name: str
    description: str
    steps: tuple[Step, ...]
    inputs: Mapping[str, Any] | None = None
    output: Mapping[str, Output] = attrs.field(factory=dict)
    on_error: OnError = "abort"
    max_retries: int = 1
    timeout: float = 60.0
    version: str = "1.0"
    path: Path | None = None
