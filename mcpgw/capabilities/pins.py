"""Pins: the hash of a capability file, written into it (`sha256:` at the start of a line).

The hash is that of the file without such lines: `grep -v '^sha256:' FILE | sha256sum` prints the
same, if the file ends with a newline.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import attrs

_PIN_LINE: Final = re.compile(rb"(?m)^sha256:[^\n]*(?:\n|\Z)")
_PIN: Final = re.compile(rb"""^sha256:\s*["']?([0-9A-Fa-f]{64})["']?\s*(?:#.*)?$""")


class PinProblem(ValueError):
    """A pin that is malformed, or a file with several pins."""


@attrs.frozen
class Pinned:
    """The pin of a file (or "") and the actual hash of its contents, in lower-case hex."""

    pin: str
    actual: str

    @property
    def holds(self) -> bool:
        """True if the file matches its pin, or has none."""
        return not self.pin or self.pin == self.actual

    def mismatch(self, path: Path | str) -> str:
        """Return the error message for a pin that does not match."""
        return (
            f"Capability hash mismatch (rug-pull protection) in {path}: expected {self.pin},"
            f" actual {self.actual}. If you changed it yourself: mcp-gateway cap pin {path}"
        )


def canonical(data: bytes) -> bytes:
    """Return a file's bytes without its pin, which are hashed."""
    return _PIN_LINE.sub(b"", data)


def content_hash(data: bytes) -> str:
    """Return the SHA-256, in hex, of a file's bytes without its pin."""
    return hashlib.sha256(canonical(data)).hexdigest()


def read_pin(data: bytes) -> Pinned:
    """Return the pin and the hash of a file's bytes.

    Raises:
      PinProblem: a line that starts with `sha256:` is malformed, or there are several.
    """
    lines = _PIN_LINE.findall(data)
    if len(lines) > 1:
        raise PinProblem(f"{len(lines)} lines start with 'sha256:'; there must be only one")
    pin = ""
    if lines:
        found = _PIN.match(lines[0].strip())
        if found is None:
            raise PinProblem("'sha256:' must be followed by 64 hex digits")
        pin = found[1].decode().lower()
    return Pinned(pin, content_hash(data))


def with_pin(data: bytes) -> bytes:
    """Return a file's bytes with its pin as the first line."""
    rest = canonical(data.removeprefix(b"\xef\xbb\xbf"))
    if rest and not rest.endswith(b"\n"):
        rest += b"\n"
    return f"sha256: {hashlib.sha256(rest).hexdigest()}\n".encode() + rest
