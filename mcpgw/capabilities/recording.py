"""Recording of API calls, and replaying them without a network.

A recording must not contain credentials: only harmless headers are kept, and secrets are redacted
in all texts.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.http_sender import HttpRequest, HttpResponse, Sender
from mcpgw.capabilities.redaction import HIDDEN, forms_of
from mcpgw.transports.address_policy import AllowedNetworks

FORMAT: Final = 1
_KEPT_HEADERS: Final = ("content-type", "accept", "link", "retry-after", "location")


@attrs.define(eq=False)
class RecordingSender(Sender):
    """A sender that records requests and responses."""

    recorded: list[dict[str, Any]] = attrs.field(factory=list)

    async def send(
        self, outgoing: HttpRequest, *, address_policy: AllowedNetworks, timeout: float, limit: int
    ) -> HttpResponse:
        """Send a request and record it with its response."""
        response = await super().send(
            outgoing, address_policy=address_policy, timeout=timeout, limit=limit
        )
        self.recorded.append(
            {
                "request": {
                    "method": outgoing.method,
                    "url": outgoing.url,
                    "headers": _kept(outgoing.headers),
                    "body": _text(outgoing.content),
                },
                "response": {
                    "status": response.status,
                    "headers": _kept(response.headers),
                    **_content(response.content),
                },
            }
        )
        return response

    def save(self, path: Path, secrets: set[str]) -> None:
        """Write the recording to a file, without these secrets."""
        from mcpgw.state.files import write_atomically

        calls = forms_of(secrets).value(self.recorded)
        text = json.dumps({"format": FORMAT, "calls": calls}, indent=2, ensure_ascii=False)
        write_atomically(path, text.encode())


@attrs.frozen
class Recorded:
    """A recorded request, without secrets, and its response."""

    method: str
    url: str
    body: str | None
    response: HttpResponse


@attrs.define(eq=False)
class ReplayingSender(Sender):
    """A sender that returns recorded responses, in order, and sends nothing."""

    calls: list[Recorded] = attrs.field(factory=list)

    async def send(
        self, outgoing: HttpRequest, *, address_policy: AllowedNetworks, timeout: float, limit: int
    ) -> HttpResponse:
        """Return the next recorded response.

        Raises:
          CallProblem: the recorded request is another one, or there are no more.
        """
        if not self.calls:
            raise CallProblem("the recording has no further calls.")
        call = self.calls.pop(0)
        if call.method != outgoing.method or not _matches(call.url, outgoing.url):
            recorded, sent = urlsplit(call.url).path, urlsplit(outgoing.url).path
            more = " with another query" if recorded == sent else ""
            raise CallProblem(
                f"the recorded request is {call.method} {recorded}, but this call sends"
                f" {outgoing.method} {sent}{more}."
            )
        if not _same_body(call.body, _text(outgoing.content)):
            raise CallProblem("the recorded request has another body than this call's.")
        return attrs.evolve(call.response, url=outgoing.url)


def read_recording(path: Path) -> list[Recorded]:
    """Read a recording.

    Raises:
      CallProblem: the file cannot be read, or is not a recording.
    """
    try:
        found = json.loads(path.read_bytes())
        if found["format"] != FORMAT:
            raise ValueError
        return [_recorded(call["request"], call["response"]) for call in found["calls"]]
    except OSError as error:
        raise CallProblem(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CallProblem(f"{path} is not a recording of `cap test --record`.") from None


def _recorded(asked: dict[str, Any], response: dict[str, Any]) -> Recorded:
    method, url, body = asked["method"], asked["url"], asked.get("body")
    status, headers = response["status"], response.get("headers", {})
    texts = [method, url, *headers, *headers.values(), *([] if body is None else [body])]
    if not isinstance(status, int) or not all(isinstance(each, str) for each in texts):
        raise ValueError
    text = response.get("text")
    data = base64.b64decode(response["base64"]) if text is None else text.encode()
    return Recorded(method, url, body, HttpResponse(status, headers, data, url))


def _matches(recorded: str, text: str) -> bool:
    """Return whether a text matches a recorded one, in which redacted parts match anything."""
    pieces = recorded.split(HIDDEN)
    return re.fullmatch(".*".join(map(re.escape, pieces)), text, re.DOTALL) is not None


def _same_body(recorded: str | None, text: str | None) -> bool:
    if recorded is None or text is None:
        return recorded == text
    if recorded.startswith("--mcpgw-"):  # the boundary is random
        return text.startswith("--mcpgw-")
    return _matches(_stable(recorded), _stable(text))


def _stable(body: str) -> str:
    """Return a body without its random part, the id of JSON-RPC."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if isinstance(value, dict) and "jsonrpc" in value:
        value.pop("id", None)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _KEPT_HEADERS}


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode("utf-8", "replace")


def _content(content: bytes) -> dict[str, str]:
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
