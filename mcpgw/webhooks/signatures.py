"""Verification of signatures and signed times of deliveries.

Digests are compared in constant time, and a malformed header is rejected.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mcpgw.webhooks.definition import Endpoint

LONGEST_HEADER: Final = 2048
"""Characters of a signature header."""
MOST_SIGNATURES: Final = 16
"""Items of a Stripe header, which has a signature for each valid secret and other schemes."""

_DIGEST: Final = r"([0-9a-fA-F]{64})"
_PLAIN: Final = re.compile(_DIGEST)
_PREFIXED: Final = re.compile(rf"sha256={_DIGEST}")
_EITHER: Final = re.compile(rf"(?:sha256=)?{_DIGEST}")
_FORMS: Final = {"github": _PREFIXED, "linear": _PLAIN, "hmac-sha256": _EITHER}
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def verify(endpoint: Endpoint, headers: Mapping[str, str], signed: bytes, now: float) -> str | None:
    """Return why a signature is rejected, None if it is valid.

    The payload is not parsed. If the signed time is part of it (Linear), call `verify_time` too
    once it is.

    Args:
      endpoint: the endpoint that received the delivery.
      headers: the headers by their names in lower case.
      signed: the raw body, or the query string of a GET request.
      now: Unix time.
    """
    if endpoint.signature == "none":
        return None
    if not endpoint.secret:
        return "the endpoint has no secret"
    header = headers.get(endpoint.signature_header.lower())
    if header is None:
        return f"the header {endpoint.signature_header} is missing"
    if len(header) > LONGEST_HEADER:
        return f"{endpoint.signature_header} is malformed"
    key = endpoint.secret.encode("utf-8", "surrogateescape")
    if endpoint.signature == "stripe":
        return _verify_stripe(endpoint, header, key, signed, now)
    found = _FORMS[endpoint.signature].fullmatch(header.strip(" \t"))
    if found is None:
        return f"{endpoint.signature_header} is malformed"
    expected = hmac.digest(key, signed, hashlib.sha256)
    if not hmac.compare_digest(expected, bytes.fromhex(found[1])):
        return "the signature does not match"
    return None


def verify_time(endpoint: Endpoint, payload: object, now: float) -> str | None:
    """Return why the time in a verified payload is rejected, None if it is valid.

    Linear sends the time in `webhookTimestamp`, in milliseconds
    (https://linear.app/developers/webhooks); other services have none in the payload.
    """
    if endpoint.signature != "linear":
        return None
    sent = payload.get("webhookTimestamp") if isinstance(payload, Mapping) else None
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return "webhookTimestamp is missing"
    # Compared without subtracting from it: it may be a number of any size.
    if not (now - endpoint.tolerance) * 1000 <= sent <= (now + endpoint.tolerance) * 1000:
        return "webhookTimestamp is too far from now"
    return None


def _verify_stripe(
    endpoint: Endpoint, header: str, key: bytes, body: bytes, now: float
) -> str | None:
    """Verify `t=SECONDS,v1=HEX[,v1=HEX...]`; other schemes are ignored.

    The digest is of `SECONDS.BODY` (https://docs.stripe.com/webhooks#verify-manually).
    """
    parsed = stripe_parts(header)
    if parsed is None:
        return f"{endpoint.signature_header} is malformed"
    written, signatures = parsed
    expected = hmac.digest(key, written.encode() + b"." + body, hashlib.sha256)
    right = False
    for each in signatures:
        right |= hmac.compare_digest(expected, each)
    if not right:
        return "the signature does not match"
    if not now - endpoint.tolerance <= int(written) <= now + endpoint.tolerance:
        return "the signed time is too far from now"
    return None


def stripe_parts(header: str) -> tuple[str, list[bytes]] | None:
    """Return the time and the `v1` signatures of a Stripe-Signature header, None without both.

    The time is returned as text, exactly as it was signed.
    """
    written = ""
    signatures = []
    items = header.split(",")
    if len(items) > MOST_SIGNATURES:
        return None
    for item in items:
        key, equals, value = item.strip(" \t").partition("=")
        if not equals:
            return None
        if key == "t":
            if written or _SECONDS.fullmatch(value) is None:
                return None
            written = value
        elif key == "v1":
            if _PLAIN.fullmatch(value) is None:
                return None
            signatures.append(bytes.fromhex(value))
    return (written, signatures) if written and signatures else None
