"""Cutting secrets out of what an API answers and of what is written down."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

from mcpgw.capabilities.credentials import SHORTEST

HIDDEN: Final = "[redacted]"


def forms_of(secrets: Iterable[str]) -> list[str]:
    """Return secrets as they may stand in a text, a URL, a form or JSON, the longest first.

    Those that are too short are left out: cutting them out would cut words.
    """
    found: set[str] = set()
    for secret in secrets:
        if len(secret) >= SHORTEST:
            encoded = secret.encode("utf-8", "surrogatepass")
            found |= {secret, quote(encoded, safe=""), quote(encoded), quote_plus(encoded)}
            found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
            found.add(base64.b64encode(encoded).decode())  # as Basic sends it (RFC 7617)
    return sorted(found, key=len, reverse=True)


def without(value: Any, forms: list[str]) -> Any:
    """Return a JSON value whose texts, keys included, hold none of these forms."""
    if isinstance(value, str):
        for form in forms:
            if form in value:
                value = value.replace(form, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {without(key, forms): without(inner, forms) for key, inner in value.items()}
    if isinstance(value, list):
        return [without(inner, forms) for inner in value]
    return value
