"""Tools for encodings, digests and identifiers."""

from __future__ import annotations

from mcpgw.example.kit import VARIES, Call, Json, Tool, ToolError, field


def encode_text(call: Call) -> Json:
    """Encode a text as base64, hex or a URL part."""
    import base64
    import urllib.parse

    text, code = call.text("text"), call.text("code", "base64")
    encoders = {
        "base64": lambda: base64.b64encode(text.encode()).decode(),
        "base64url": lambda: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
        "hex": lambda: text.encode().hex(),
        "url": lambda: urllib.parse.quote(text, safe=""),
    }
    return {"text": encoders[code]()}


def decode_text(call: Call) -> Json:
    """Decode a text from base64, hex or a URL part."""
    import base64
    import urllib.parse

    text, code = call.text("text").strip(), call.text("code", "base64")
    padded = text + "=" * (-len(text) % 4)
    decoders = {
        "base64": lambda: base64.b64decode(padded, validate=True),
        "base64url": lambda: base64.b64decode(padded, altchars=b"-_", validate=True),
        "hex": lambda: bytes.fromhex(text),
        "url": lambda: urllib.parse.unquote_to_bytes(text),
    }
    try:
        return {"text": decoders[code]().decode()}
    except UnicodeDecodeError:
        raise ToolError("The decoded data is not UTF-8 text.") from None
    except ValueError as error:
        raise ToolError(f"Invalid {code}: {error}.") from None


def hash_text(call: Call) -> Json:
    """Compute the digest of a text."""
    import hashlib

    algorithm = call.text("algorithm", "sha256")
    digest = hashlib.new(algorithm, call.text("text").encode(), usedforsecurity=False)
    return {"algorithm": algorithm, "digest": digest.hexdigest()}


def make_uuid(call: Call) -> Json:
    """Generate random identifiers."""
    import uuid

    return {"uuids": [str(uuid.uuid4()) for _ in range(call.whole("count", 1))]}


_CODES = ["base64", "base64url", "hex", "url"]

TOOLS = (
    Tool(
        "encode_text",
        "Encode text",
        "Encode a text as base64, URL-safe base64, hexadecimal or percent-encoding (URL).",
        encode_text,
        takes={
            "text": field("string", "The text to encode."),
            "code": field("string", "The encoding; base64 by default.", enum=_CODES),
        },
        needs=("text",),
        gives={"text": field("string", "The encoded text.")},
    ),
    Tool(
        "decode_text",
        "Decode text",
        "Decode base64, URL-safe base64, hexadecimal or percent-encoding (URL) back to text.",
        decode_text,
        takes={
            "text": field("string", "The encoded text."),
            "code": field("string", "Its encoding; base64 by default.", enum=_CODES),
        },
        needs=("text",),
        gives={"text": field("string", "The decoded text.")},
    ),
    Tool(
        "hash_text",
        "Hash text",
        "Compute the SHA-256, SHA-512, SHA-1, MD5 or BLAKE2b digest (checksum) of a text.",
        hash_text,
        takes={
            "text": field("string", "The text, hashed as UTF-8."),
            "algorithm": field(
                "string",
                "The algorithm; sha256 by default.",
                enum=["sha256", "sha512", "sha1", "md5", "blake2b"],
            ),
        },
        needs=("text",),
        gives={
            "algorithm": field("string", "The algorithm used."),
            "digest": field("string", "The digest in hexadecimal."),
        },
    ),
    Tool(
        "make_uuid",
        "Make UUIDs",
        "Make one or more random identifiers (UUID version 4).",
        make_uuid,
        takes={
            "count": field(
                "integer", "Number of identifiers; 1 by default.", minimum=1, maximum=100
            ),
        },
        gives={"uuids": field("array", "The identifiers.", items={"type": "string"})},
        annotations=VARIES,
    ),
)
