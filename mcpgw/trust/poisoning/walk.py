"""Iteration over the strings of a definition that can reach a model, with their paths."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

Kind = Literal["tool", "prompt", "resource", "resource_template"]

MAX_DEPTH = 64
"""Levels of nesting that are walked."""
MAX_NODES = 20_000
"""Values of one definition that are walked."""
_PLURALS = {
    "tool": "tools",
    "prompt": "prompts",
    "resource": "resources",
    "resource_template": "resourceTemplates",
}
_PROPERTY_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_STANDARD = """
    $anchor $comment $defs $dynamicAnchor $dynamicRef $id $ref $schema $vocabulary
    additionalItems additionalProperties allOf annotations anyOf arguments audience const
    contains contentEncoding contentMediaType contentSchema default definitions dependencies
    dependentRequired dependentSchemas deprecated description destructiveHint else enum
    enumNames example examples exclusiveMaximum exclusiveMinimum execution format icons
    idempotentHint if inputSchema items lastModified maxContains maxItems maxLength
    maxProperties maximum mimeType minContains minItems minLength minProperties minimum
    multipleOf name not nullable oneOf openWorldHint outputSchema pattern patternProperties
    prefixItems priority properties propertyNames readOnly readOnlyHint required size sizes
    src taskSupport then theme title type unevaluatedItems unevaluatedProperties uniqueItems
    uri uriTemplate writeOnly _meta serverInfo capabilities instructions version websiteUrl
    protocolVersion
"""
_KNOWN_KEYS = frozenset(_STANDARD.split())


class TooLargeError(Exception):
    """A definition is nested too deeply, has too many values or contains itself."""


def root(kind: Kind, name: object) -> str:
    """Return the start of the paths of a definition, such as `tools[search]`."""
    return f"{_PLURALS[kind]}[{str(name)[:80] if isinstance(name, str) else '?'}]"


def strings(value: object, where: str) -> Iterator[tuple[str, str]]:
    """Yield each string in the value with its path, including keys that are not standard.

    Raises:
      TooLargeError: beyond `MAX_DEPTH` or `MAX_NODES`, after the strings up to there.
    """
    pending = collections.deque[tuple[object, str, int]]([(value, where, 0)])
    seen = 0
    while pending:
        node, path, depth = pending.popleft()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            raise TooLargeError
        if isinstance(node, str):
            yield path, node
        elif isinstance(node, Mapping):
            named = path.rpartition(".")[2] in _PROPERTY_MAPS
            for key, item in node.items():
                key_text = str(key)
                pending.append((item, f"{path}.{key_text[:80]}", depth + 1))
                if named or key_text not in _KNOWN_KEYS:
                    yield f"{path}.{key_text[:80]}", key_text
        elif isinstance(node, Sequence) and not isinstance(node, bytes | bytearray):
            pending.extend((item, f"{path}[{place}]", depth + 1) for place, item in enumerate(node))
