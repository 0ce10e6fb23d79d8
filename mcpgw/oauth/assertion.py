"""Client authentication by a signed assertion (RFC 7523, `private_key_jwt`)."""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcpgw.oauth.errors import Refused

if TYPE_CHECKING:
    from mcpgw.config.oauth import OAuthConfig

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME: Final = 120
"""Seconds for which an assertion is valid."""


def client_assertion(config: OAuthConfig, client_id: str, audience: str) -> str:
    """Return a signed client assertion for one request.

    Args:
      config: names the key, its algorithm and its id.
      client_id: our client id.
      audience: the issuer of the authorization server.

    Raises:
      Refused: the key cannot be used, or `cryptography` is not installed.
    """
    now = int(time.time())
    header = {"alg": config.private_key_algorithm, "typ": "JWT"}
    if config.private_key_id is not None:
        header["kid"] = config.private_key_id
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": secrets.token_urlsafe(24),
    }
    text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{_encoded(_sign(config, text.encode()))}"


def _sign(config: OAuthConfig, message: bytes) -> bytes:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise Refused(
            "`private_key_file` needs the package `cryptography`, which is not installed"
        ) from None
    path = Path(config.private_key_file or "").expanduser()
    algorithm = config.private_key_algorithm
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused(f"the private key in {path} cannot be read: {type(error).__name__}") from None
    if algorithm == "EdDSA" and isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}.get(
        algorithm[-3:], hashes.SHA256()
    )
    if algorithm.startswith("ES") and isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.key_size != int(algorithm[2:]):
            raise Refused(f"the key in {path} does not fit {algorithm}")
        size = (key.curve.key_size + 7) // 8
        numbers = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        return b"".join(number.to_bytes(size, "big") for number in numbers)
    if algorithm.startswith("RS") and isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), digest)
    if algorithm.startswith("PS") and isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return key.sign(message, pss, digest)
    raise Refused(f"the key in {path} does not fit {algorithm}; set `private_key_algorithm`")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
