"""Redaction of secrets in responses and recordings."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

from mcpgw.capabilities.credentials import SHORTEST

HIDDEN: Final = "[redacted]"


def encodings_of(secrets: Iterable[str]) -> list[str]:
    """Return the encodings of secrets in texts, URLs, forms and JSON, longest first.

    Secrets shorter than `SHORTEST` are left out: redacting them would cut words apart.
    """
    found: set[str] = set()
    for secret in secrets:
        if len(secret) >= SHORTEST:
            encoded = secret.encode("utf-8", "surrogatepass")
            found |= {secret, quote(encoded, safe=""), quote(encoded), quote_plus(encoded)}
            found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
            found.add(base64.b64encode(encoded).decode())  # as in Basic authentication (RFC 7617)
    return sorted(found, key=len, reverse=True)


def redacted(value: Any, forms: list[str]) -> Any:
    """Return a JSON value with these forms redacted in all texts, including keys."""
    if isinstance(value, str):
        for form in forms:
            if form in value:
                value = value.replace(form, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {redacted(key, forms): redacted(inner, forms) for key, inner in value.items()}
    if isinstance(value, list):
        return [redacted(inner, forms) for inner in value]
    return value
