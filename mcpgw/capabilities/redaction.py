"""Redaction of secrets in responses and recordings."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

from mcpgw.capabilities.credentials import SHORTEST
from mcpgw.observe.redact import PLACEHOLDER
from mcpgw.observe.secret_forms import SecretForms

HIDDEN: Final = PLACEHOLDER


def forms_of(secrets: Iterable[str]) -> SecretForms:
    """Return the forms of secrets in texts, URLs, forms and JSON.

    Secrets shorter than `SHORTEST` are left out: redacting them would cut words apart.
    """
    return _forms(frozenset(secret for secret in secrets if len(secret) >= SHORTEST))


@functools.lru_cache(maxsize=128)
def _forms(secrets: frozenset[str]) -> SecretForms:
    return SecretForms.of(secrets)
