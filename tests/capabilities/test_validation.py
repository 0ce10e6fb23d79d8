"""Mistakes in a file are found when it is read, each at its line, not at the first call."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcpgw.capabilities.parsing import read_capability
from mcpgw.config.problems import ConfigError

HEAD = """name: x
description: x
providers:
  primary:
    config:
      base_url: https://a.example
"""


@pytest.mark.parametrize(
    ("more", "line", "part"),
    [
        ("      response_path: 'a..b'\n", 7, "response_path"),
        ("      response_path: 'a[x]'\n", 7, "response_path"),
        ("      pagination: {style: cursor, parameter: c, next: 'a[', items: b}\n", 7, "next"),
        ("      pagination: {style: cursor, parameter: c, next: a, items: 'b.'}\n", 7, "items"),
        ("      pagination: {style: cursor, next: a}\n", 7, "`parameter`"),
        ("      pagination: {style: page}\n", 7, "`parameter`"),
        ("      fails_when: {equals: 1}\n", 7, "`path`"),
        ("      fails_when: {path: 'a[', equals: 1}\n", 7, "path"),
        ("      fails_when: {path: a, message: 'b..c'}\n", 7, "message"),
        ("      fails_when: {path: a, equals: 1, not_equals: 2}\n", 7, "not both"),
        ("      fails_when: {path: a, equals: null}\n", 7, "[null]"),
        ("      headers:\n        Ok: a\n        'Bad Name': b\n", 9, "Bad Name"),
        ('      headers:\n        X-A: "a\\r\\nX-B: c"\n', 8, "line breaks"),
        ("      response_headers: ['Li nk']\n", 7, "Li nk"),
        ('      body_content_type: "text\\r\\nX: y"\n', 7, "media type"),
        ("auth:\n  key: env:K\n  header: 'X: Y'\n", 9, "header"),
        ("retry:\n  idempotency_header: 'a b'\n", 8, "idempotency_header"),
        ("projection:\n  body:\n    text: 'a['\n", 9, "projection.body.text"),
        ("transform: {project: ['a..b']}\n", 7, "project"),
        ("webhooks:\n  x:\n    path: /x\n    signature: gitlab\n", 10, "signature"),
        ("webhooks:\n  x:\n    path: /x\n    signature_header: 'X Y'\n", 10, "signature_header"),
        ("webhooks:\n  x:\n    path: /x\n    secret: hunter2-hunter2\n", 10, "reference"),
    ],
)
def test_a_mistake_has_its_line(more: str, line: int, part: str) -> None:
    """And says which key it is about."""
    with pytest.raises(ConfigError) as caught:
        read_capability(Path("x.yaml"), (HEAD + more).encode())
    (problem,) = [each for each in caught.value.problems if each.level == "error"]
    assert part in str(problem)
    assert line == problem.line


@pytest.mark.parametrize("path", ["$", "$.a.b", "a.0.b", "items[].name", "a[0]", "a[-1].b"])
def test_good_paths_are_accepted(path: str) -> None:
    """In every way of writing that a call understands."""
    read_capability(Path("x.yaml"), f"{HEAD}      response_path: '{path}'\n".encode())
