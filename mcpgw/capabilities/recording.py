"""Calls that are written down, and played again without a network.

A recording holds no credential: headers are left out but for the harmless ones, and secrets are
cut out of all texts.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from mcpgw.capabilities.failures import CallProblem
from mcpgw.capabilities.sending import Answered, Outgoing, Sender
from mcpgw.transports.reach import Reach

FORMAT: Final = 1
_KEPT_HEADERS: Final = ("content-type", "accept", "link", "retry-after", "location")


@attrs.define(eq=False)
class RecordingSender(Sender):
    """Sends, and keeps what was sent and answered."""

    taken: list[dict[str, Any]] = attrs.field(factory=list)

    async def send(
        self, outgoing: Outgoing, *, reach: Reach, timeout: float, limit: int
    ) -> Answered:
        """Send a request and write it down with its answer."""
        answer = await super().send(outgoing, reach=reach, timeout=timeout, limit=limit)
        self.taken.append(
            {
                "request": {
                    "method": outgoing.method,
                    "url": outgoing.url,
                    "headers": _kept(outgoing.headers),
                    "body": _text(outgoing.content),
                },
                "response": {
                    "status": answer.status,
                    "headers": _kept(answer.headers),
                    **_content(answer.content),
                },
            }
        )
        return answer

    def save(self, path: Path, secrets: set[str]) -> None:
        """Write the recording, without secrets."""
        from mcpgw.state.files import write_atomically

        text = json.dumps({"format": FORMAT, "calls": self.taken}, indent=2, ensure_ascii=False)
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(json.dumps(secret, ensure_ascii=False)[1:-1], "[redacted]")
        write_atomically(path, text.encode())


@attrs.define(eq=False)
class PlayingSender(Sender):
    """Answers from a recording, in its order; nothing is sent."""

    calls: list[dict[str, Any]] = attrs.field(factory=list)

    async def send(
        self, outgoing: Outgoing, *, reach: Reach, timeout: float, limit: int
    ) -> Answered:
        """Return the next answer, where the recording is of such a request.

        Raises:
          CallProblem: it is not, or there is no more.
        """
        if not self.calls:
            raise CallProblem("the recording has no more calls than were made already.")
        call = self.calls.pop(0)
        asked, answer = call["request"], call["response"]
        there, here = urlsplit(asked["url"]), urlsplit(outgoing.url)
        same = (there.scheme, there.netloc, there.path) == (here.scheme, here.netloc, here.path)
        if asked["method"] != outgoing.method or not same:
            raise CallProblem(
                f"the recording is of {asked['method']} {there.path}, and this call sends"
                f" {outgoing.method} {here.path}."
            )
        body = answer.get("text")
        data = base64.b64decode(answer["base64"]) if body is None else body.encode()
        return Answered(int(answer["status"]), answer.get("headers", {}), data, outgoing.url)


def read_recording(path: Path) -> list[dict[str, Any]]:
    """Return the calls of a recording.

    Raises:
      CallProblem: the file is none.
    """
    try:
        found = json.loads(path.read_bytes())
        calls = found["calls"]
        if found.get("format") != FORMAT or not isinstance(calls, list):
            raise ValueError
        for call in calls:
            call["request"]["url"], call["request"]["method"], call["response"]["status"]
    except OSError as error:
        raise CallProblem(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CallProblem(f"{path} is no recording of `cap test --record`.") from None
    return list(calls)


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _KEPT_HEADERS}


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode("utf-8", "replace")


def _content(content: bytes) -> dict[str, str]:
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
