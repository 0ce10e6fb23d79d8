"""Keys of deliveries, by which a repeated delivery is recognized."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mcpgw.webhooks.definition import Endpoint

HEADERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "github": ("x-github-delivery",),
        "linear": ("linear-delivery",),
        "stripe": (),
        "hmac-sha256": ("webhook-id", "x-github-delivery", "x-gitea-delivery", "x-delivery-id"),
        "none": ("webhook-id", "x-github-delivery", "x-gitea-delivery", "x-delivery-id"),
    }
)
"""Headers that may hold the id of a delivery, by kind of signature; the first one present counts.
`Webhook-Id` is defined by https://www.standardwebhooks.com."""

_PLAIN: Final = re.compile(r"[\x21-\x7e]{1,128}")


def delivery_keys(
    endpoint: Endpoint, headers: Mapping[str, str], payload: object, body: bytes
) -> tuple[str, ...]:
    """Return the keys that identify a delivery, none if it has no id.

    Stripe's id is the `id` of the event, which is signed. An id in a header is not signed, so an
    attacker who has recorded a delivery could replay it under another id. Linear's bodies hold
    the time of sending in milliseconds, so the hash of the body is a second key. GitHub may send
    equal bodies twice on purpose (`repository_dispatch`), so only the header counts, as
    https://docs.github.com/webhooks/using-webhooks/best-practices-for-using-webhooks recommends.
    """
    if endpoint.signature == "stripe":
        identifier = payload.get("id") if isinstance(payload, Mapping) else None
        return (_key(identifier),) if isinstance(identifier, str) and identifier else ()
    found = (headers.get(name, "").strip() for name in HEADERS[endpoint.signature])
    keys = tuple(_key(each) for each in found if each)[:1]
    if endpoint.signature == "linear":
        keys += (f"body:{hashlib.sha256(body).hexdigest()}",)
    return keys


def _key(identifier: str) -> str:
    if _PLAIN.fullmatch(identifier) and not identifier.startswith(("body:", "long:")):
        return identifier
    return f"long:{hashlib.sha256(identifier.encode('utf-8', 'surrogatepass')).hexdigest()}"
