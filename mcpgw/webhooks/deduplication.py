"""What tells one delivery from another, so that one that comes twice is known again."""

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
"""The headers that may hold the number of a delivery; the first that is there counts.
`Webhook-Id` is of https://www.standardwebhooks.com."""

_PLAIN: Final = re.compile(r"[\x21-\x7e]{1,128}")


def delivery_keys(
    endpoint: Endpoint, headers: Mapping[str, str], payload: object, body: bytes
) -> tuple[str, ...]:
    """Return what a delivery is known by; nothing where it has no number.

    Stripe's number is the event's `id`, which is signed. A number in a header is not signed, so
    whoever recorded a delivery could send it again under another. Linear's bodies hold the time
    of sending in milliseconds: there the body itself is a second key. A GitHub body may rightly
    come twice (`repository_dispatch`); there the header is all, as GitHub says
    (https://docs.github.com/webhooks/using-webhooks/best-practices-for-using-webhooks).
    """
    if endpoint.signature == "stripe":
        number = payload.get("id") if isinstance(payload, Mapping) else None
        return (_key(number),) if isinstance(number, str) and number else ()
    found = (headers.get(name, "").strip() for name in HEADERS[endpoint.signature])
    keys = tuple(_key(each) for each in found if each)[:1]
    if endpoint.signature == "linear":
        keys += (f"body:{hashlib.sha256(body).hexdigest()}",)
    return keys


def _key(number: str) -> str:
    if _PLAIN.fullmatch(number) and not number.startswith(("body:", "long:")):
        return number
    return f"long:{hashlib.sha256(number.encode('utf-8', 'surrogatepass')).hexdigest()}"
