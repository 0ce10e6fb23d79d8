"""Whether a delivery was signed by who knows the secret, and lately.

Digests are compared in constant time; a header that is not exactly of its form is refused.
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
"""Signatures in one Stripe header: one for each secret that is still valid, and other schemes."""

_DIGEST: Final = r"([0-9a-fA-F]{64})"
_PLAIN: Final = re.compile(_DIGEST)
_PREFIXED: Final = re.compile(rf"sha256={_DIGEST}")
_EITHER: Final = re.compile(rf"(?:sha256=)?{_DIGEST}")
_FORMS: Final = {"github": _PREFIXED, "linear": _PLAIN, "hmac-sha256": _EITHER}
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def verify(endpoint: Endpoint, headers: Mapping[str, str], signed: bytes, now: float) -> str | None:
    """Return why a delivery is not to be trusted, or None where its signature is right.

    This needs no look into the payload. Where the signed time is part of the payload (Linear),
    `out_of_time` is to be asked as well, once it was read.

    Args:
      endpoint: where it came in.
      headers: its headers, under their names in lower case.
      signed: the body as it came, or the query string of a GET request.
      now: Unix time.
    """
    if endpoint.signature == "none":
        return None
    if not endpoint.secret:
        return "the endpoint has no secret"
    header = headers.get(endpoint.signature_header.lower())
    if header is None:
        return f"there is no header {endpoint.signature_header}"
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
        return "the signature is another"
    return None


def out_of_time(endpoint: Endpoint, payload: object, now: float) -> str | None:
    """Return why the time in a payload that was verified does not do, or None.

    Linear puts the time of sending, in milliseconds, into `webhookTimestamp`
    (https://linear.app/developers/webhooks); other services have none in the payload.
    """
    if endpoint.signature != "linear":
        return None
    sent = payload.get("webhookTimestamp") if isinstance(payload, Mapping) else None
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return "webhookTimestamp is missing"
    # Compared, never subtracted: a number of any size may stand there.
    if not (now - endpoint.tolerance) * 1000 <= sent <= (now + endpoint.tolerance) * 1000:
        return "webhookTimestamp is too far from now"
    return None


def _verify_stripe(
    endpoint: Endpoint, header: str, key: bytes, body: bytes, now: float
) -> str | None:
    """Check `t=SECONDS,v1=HEX[,v1=HEX...]`; other schemes are passed over.

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
        return "the signature is another"
    if not now - endpoint.tolerance <= int(written) <= now + endpoint.tolerance:
        return "the signed time is too far from now"
    return None


def stripe_parts(header: str) -> tuple[str, list[bytes]] | None:
    """Return time and `v1` signatures of a Stripe-Signature header; None where it has not both.

    The time is returned as it was written, since that is what was signed.
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
