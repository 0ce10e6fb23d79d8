"""REST routes of MCP servers: each tool as a POST, an OpenAPI document and a page."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw.front.http.gateway_api import ANONYMOUS
from mcpgw.front.http.openapi.document import document
from mcpgw.front.http.openapi.pages import content_security_policy, list_page, tools_page
from mcpgw.front.http.openapi.responses import (
    JSON,
    Answer,
    from_error,
    from_result,
    json_answer,
    problem,
    quality,
)
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import RpcError
from mcpgw.text.did_you_mean import did_you_mean

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

__all__ = ["OpenApiRoutes", "document"]

log = get_logger("mcpgw.openapi")

PREFIX: Final = "/openapi"
HTML: Final = "text/html; charset=utf-8"
BODY_PATIENCE: Final = 30.0
"""Seconds that the body of a request may take."""

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ON_ALL: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

Tool = Mapping[str, Any]
Handler = Callable[["Request"], Awaitable[Answer]]


@attrs.frozen
class _Refused(Exception):
    """A request is answered with a problem response."""

    answer: Answer


@attrs.frozen(kw_only=True)
class OpenApiRoutes:
    """The routes below `/openapi`.

    Args:
      servers: returns the names of all servers.
      tools: returns a server's tools; raises LookupError for an unknown server, and RpcError if
        they cannot be listed.
      info: returns a server's information about itself, as far as it is known.
      call: calls a tool (server, tool, arguments, principal) and returns its MCP result; raises
        RpcError, from a `CallFailed` if possible, whose kind decides the status.
      secured: whether requests need a bearer token; the access checks verify it.
      limit: the largest body accepted, in bytes.
      public_url: the external URL of the front, without a slash at the end; if it is empty,
        documents name their server by path alone.
    """

    servers: Callable[[], Sequence[str]]
    tools: Callable[[str], Awaitable[Sequence[Tool]]]
    info: Callable[[str], Mapping[str, Any]]
    call: Callable[[str, str, dict[str, Any], str], Awaitable[dict[str, Any]]]
    secured: bool
    limit: int
    public_url: str = ""

    def routes(self) -> list[Route]:
        """Return the routes, fixed paths before the path of a tool."""
        from starlette.routing import Route

        one = f"{PREFIX}/{{backend}}"
        return [
            Route(PREFIX, _endpoint(self._list), methods=["GET"]),
            Route(one, _endpoint(self._go_to_page), methods=["GET"]),
            Route(f"{one}/openapi.json", _endpoint(self._document), methods=["GET"]),
            Route(f"{one}/docs", _endpoint(self._page), methods=["GET"]),
            Route(f"{one}/{{tool:path}}", _endpoint(self._tool), methods=list(_METHODS)),
        ]

    # -- documents and pages ----------------------------------------------------------------

    async def _list(self, request: Request) -> Answer:
        start = _root(request) + PREFIX
        found = [
            {
                "name": name,
                "title": self.info(name).get("title") or self.info(name).get("name") or name,
                "docs": f"{start}/{name}/docs",
                "openapi": f"{start}/{name}/openapi.json",
            }
            for name in self.servers()
        ]
        accept = _accept(request)
        if quality(accept, "text/html") > quality(accept, JSON):
            nonce = secrets.token_urlsafe(16)
            return _html(list_page(found, nonce=nonce), nonce)
        return json_answer({"servers": found})

    async def _go_to_page(self, request: Request) -> Answer:
        server = _server(request)
        if server not in self.servers():
            raise _Refused(self._no_server(server))
        location = f"{_root(request)}{PREFIX}/{server}/docs"
        return Answer(307, b"", JSON, {"location": location})

    async def _document(self, request: Request) -> Answer:
        server = _server(request)
        tools = await self._tools_of(server)
        base_url = f"{self.public_url}{_root(request)}{PREFIX}/{server}"
        return json_answer(
            document(server, self.info(server), tools, base_url=base_url, secured=self.secured)
        )

    async def _page(self, request: Request) -> Answer:
        server = _server(request)
        tools = await self._tools_of(server)
        nonce = secrets.token_urlsafe(16)
        page = tools_page(server, self.info(server), tools, nonce=nonce, secured=self.secured)
        return _html(page, nonce)

    async def _tools_of(self, server: str) -> Sequence[Tool]:
        try:
            return await self.tools(server)
        except LookupError as error:
            raise _Refused(self._no_server(server)) from error
        except RpcError as error:
            raise _Refused(from_error(error)) from error

    def _no_server(self, server: str) -> Answer:
        known = ", ".join(self.servers()) or "none"
        return problem(404, f"No server is called {server!r:.100}; there are: {known}.")

    # -- calls --------------------------------------------------------------------------------

    async def _tool(self, request: Request) -> Answer:
        server, name = _server(request), request.path_params["tool"]
        tools = await self._tools_of(server)
        if not any(tool.get("name") == name for tool in tools):
            hint = did_you_mean(name, [str(tool.get("name")) for tool in tools])
            detail = f"Server '{server}' has no tool {name!r:.100}.{hint}"
            return problem(404, f"{detail} {PREFIX}/{server}/docs lists its tools.")
        allow = {"allow": "POST, OPTIONS"}
        if request.method == "OPTIONS":
            return Answer(204, b"", JSON, allow)
        if request.method != "POST":
            return problem(405, "A tool must be called by POST.", headers=allow)
        arguments = _arguments(request, await self._body(request))
        principal = str(request.scope.get("state", {}).get("principal", ANONYMOUS))
        return await _until_disconnect(
            request, lambda: self._call(request, name, arguments, principal)
        )

    async def _call(
        self, request: Request, name: str, arguments: dict[str, Any], principal: str
    ) -> Answer:
        try:
            result = await self.call(_server(request), name, arguments, principal)
        except RpcError as error:
            return from_error(error)
        except LookupError:
            return self._no_server(_server(request))
        return from_result(result, _accept(request))

    async def _body(self, request: Request) -> bytes:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self.limit:
            raise _Refused(self._too_large())
        body = bytearray()
        with trio.move_on_after(BODY_PATIENCE):
            while (event := await request.receive())["type"] == "http.request":
                body += event.get("body", b"")
                if len(body) > self.limit:
                    raise _Refused(self._too_large())
                if not event.get("more_body", False):
                    return bytes(body)
            raise _Refused(problem(400, "The connection closed before the whole body arrived."))
        raise _Refused(problem(408, f"The body took longer than {BODY_PATIENCE:g} s."))

    def _too_large(self) -> Answer:
        detail = f"The body is larger than {self.limit} bytes (server.max_body_size)."
        return problem(413, detail, headers={"connection": "close"})


def _arguments(request: Request, body: bytes) -> dict[str, Any]:
    """Return the arguments of a call; {} for an empty body.

    The media type must be JSON. A page of another site can make a browser send a body with another
    type, or none at all, without asking; for JSON the browser sends a CORS preflight request first.
    """
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    foreign = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if media != JSON and (media or body.strip() or foreign):
        raise _Refused(problem(415, f"Send the arguments as Content-Type: {JSON}."))
    charset = parameters.strip().lower().replace('"', "")
    if charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=us-ascii"):
        raise _Refused(problem(415, "The charset must be UTF-8; omit it."))
    if request.headers.get("content-encoding", "identity") != "identity":
        raise _Refused(problem(415, "The body must not have a Content-Encoding."))
    if not body.strip():
        return {}
    try:
        arguments = json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error) or "nested too deeply"
        raise _Refused(problem(400, f"The body is not JSON: {reason:.200}.")) from error
    if not isinstance(arguments, dict):
        detail = "The body must be a JSON object with the tool's arguments by name."
        raise _Refused(problem(400, detail))
    return arguments


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number")


async def _until_disconnect(request: Request, work: Callable[[], Awaitable[Answer]]) -> Answer:
    """Do the work; cancel it when the client disconnects."""
    answer = problem(408, "The client disconnected.")

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        answer = await work()
        nursery.cancel_scope.cancel()
    return answer


def _endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return a Starlette endpoint that runs a handler."""

    async def endpoint(request: Request) -> Response:
        from starlette.responses import Response

        try:
            answer = await handler(request)
        except _Refused as refused:
            answer = refused.answer
        except Exception as error:
            log.error("openapi.request_crashed", path=request.url.path, exc_info=error)
            answer = problem(500, "Internal gateway error (see the log).")
        headers = {**_ON_ALL, **answer.headers}
        if answer.body:
            headers["content-type"] = answer.media_type
        return Response(answer.body, answer.status, headers)

    return endpoint


def _html(page: str, nonce: str) -> Answer:
    policy = {"content-security-policy": content_security_policy(nonce)}
    return Answer(200, page.encode(errors="replace"), HTML, policy)


def _server(request: Request) -> str:
    return str(request.path_params["backend"])


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))
