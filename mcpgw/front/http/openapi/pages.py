"""HTML pages below `/openapi`: the list of servers, and the tools of one with a form for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from mcpgw.front.http.openapi.document import operation_names, title_of, tool_path
from mcpgw.front.http.openapi.samples import Field, fields, sample
from mcpgw.text.plural import plural


def content_security_policy(nonce: str) -> str:
    """Return the CSP of a page: its own script and style, and requests to its own origin."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}';"
        " connect-src 'self'; img-src blob: data:; media-src blob:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )


def list_page(servers: Sequence[Mapping[str, str]], *, nonce: str) -> str:
    """Return the page that lists the servers, each with `name`, `title`, `docs` and `openapi`."""
    items = "".join(
        f'<li class="card"><span class="name">{escape(server["name"])}</span>'
        f'<span class="lead">{escape(_distinct_title(server["title"], server["name"]))}</span>'
        f'<span class="links"><a href="{escape(server["docs"])}">Tools</a>'
        f'<a href="{escape(server["openapi"])}">OpenAPI</a></span></li>'
        for server in servers
    )
    body = (
        "<header><h1>MCP servers as REST APIs</h1>"
        '<p class="lead">Each tool is a POST with its arguments as JSON.</p></header>'
        f'<main><ul class="servers">{items}</ul>'
        + ("" if items else '<p class="none">No server is configured.</p>')
        + "</main>"
    )
    return _page("MCP servers", body, nonce)


def tools_page(
    server: str,
    info: Mapping[str, Any],
    tools: Sequence[Mapping[str, Any]],
    *,
    nonce: str,
    secured: bool,
) -> str:
    """Return the page of one server's tools.

    All strings of a server are escaped. The page is self-contained; its forms call the tools below
    the page's own address.

    Args:
      server, info, tools: see `document`.
      nonce: allows the page's own script and style; new for each response.
      secured: whether to ask for a token, which the page does not store.
    """
    title = _text(info.get("title")) or _text(info.get("name")) or server
    version = _text(info.get("version"))
    words = _text(info.get("instructions")) or _text(info.get("description"))
    named = operation_names(tools)
    count = plural(len(named), "tool")
    head = (
        f"<header><h1>{escape(title)}"
        + (f" <small>{escape(version)}</small>" if version else "")
        + f'</h1><p class="lead">{count} of <code>{escape(server)}</code>, each a POST with its'
        ' arguments as JSON. <a href="openapi.json">OpenAPI document</a></p>'
        + (f'<p class="words">{escape(words)}</p>' if words else "")
        + "</header>"
    )
    key = (
        '<label><span class="sr">Bearer token</span><input id="token" type="password"'
        ' autocomplete="off" placeholder="Bearer token, needed to call"></label>'
        if secured
        else ""
    )
    bar = (
        '<div class="bar"><label><span class="sr">Filter tools</span><input id="filter"'
        f' type="search" placeholder="Filter tools" autocomplete="off"></label>{key}</div>'
    )
    cards = "".join(_card(tool) for tool in named.values())
    none = "No tool matches." if named else "The server has no tools."
    shown = f'<p class="none" id="nothing"{" hidden" if named else ""}>{none}</p>'
    return _page(f"{title}: tools", f"{head}<main>{bar}{cards}{shown}</main>", nonce)


def _page(title: str, body: str, nonce: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
        f'<style nonce="{nonce}">{_asset("openapi.css")}</style></head><body>{body}'
        f'<script nonce="{nonce}">{_asset("openapi.js")}</script></body></html>'
    )


@cache
def _asset(name: str) -> str:
    """Read a file of `assets/`, which a page contains: nothing is loaded from elsewhere."""
    return resources.files(__package__).joinpath("assets", name).read_text("utf-8")


def _card(tool: Mapping[str, Any]) -> str:
    name, description = str(tool["name"]), _text(tool.get("description")).strip()
    title = _distinct_title(title_of(tool), name)
    # Without a title a closed card shows the first line of the description.
    kind, line = ("title", title) if title else ("title echo", description.partition("\n")[0])
    words = f"{name} {title_of(tool)} {description}".lower()
    schema = tool.get("inputSchema")
    return (
        f'<details class="card" id="{escape(name)}" data-words="{escape(words)}">'
        f'<summary><span class="name">{escape(name)}</span>'
        f'<span class="marks">{_marks(tool)}</span>'
        f'<span class="{kind}">{escape(line)}</span></summary>'
        f'<div class="inside"><div>{_reading(description, fields(schema))}'
        f"{_schema('Schema of the arguments', schema)}"
        f"{_schema('Schema of the result', tool.get('outputSchema'))}</div>"
        f"{_form(name, schema)}</div></details>"
    )


def _reading(description: str, taken: Sequence[Field]) -> str:
    text = f'<p class="words">{escape(description)}</p>' if description else ""
    if not taken:
        return text + '<h3>Arguments</h3><p class="lead">None.</p>'
    return f"{text}<h3>Arguments</h3><dl>{''.join(map(_field, taken))}</dl>"


def _field(field: Field) -> str:
    asides = []
    if field.choices:
        asides.append("One of " + ", ".join(map(_compact, field.choices[:40])))
    if field.default is not None:
        asides.append(f"Default {_compact(field.default)}")
    aside = f'<span class="aside">{escape(". ".join(asides))}</span>' if asides else ""
    between = "\n" if aside and field.description else ""
    return (
        f'<dt><span class="mono">{escape(field.name)}</span>'
        f'<span class="type">{escape(field.type)}</span>'
        + ('<span class="must">required</span>' if field.required else "")
        + f"</dt><dd>{escape(field.description.strip())}{between}{aside}</dd>"
    )


def _schema(title: str, schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return ""
    return (
        f'<details class="schema"><summary>{title}</summary>'
        f"<pre>{escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre></details>"
    )


def _form(name: str, schema: Any) -> str:
    needed = _written(sample(schema))
    full = _written(sample(schema, everything=True))
    choices = "".join(
        f'<button type="button" data-body="{escape(body)}">{label}</button>'
        for label, body in (("Required fields", needed), ("All fields", full))
        if needed != full
    )
    return (
        f'<form class="try" data-path="{escape(tool_path(name)[1:])}"><h3>Try it</h3>'
        f'<label><span class="sr">Arguments of {escape(name)} as JSON</span>'
        f'<textarea spellcheck="false" autocapitalize="off">{escape(needed)}</textarea></label>'
        f'<div class="row"><button class="send">Send</button>{choices}</div>'
        '<div class="outcome" aria-live="polite"></div></form>'
    )


def _marks(tool: Mapping[str, Any]) -> str:
    """Return labels for the hints that the tool declares (MCP, tool annotations)."""
    hints = tool.get("annotations")
    if not isinstance(hints, Mapping):
        return ""
    marks = []
    if hints.get("readOnlyHint") is True:
        marks.append('<span class="mark good">reads only</span>')
    elif hints.get("destructiveHint") is True:
        marks.append('<span class="mark bad">may destroy</span>')
    if hints.get("idempotentHint") is True and hints.get("readOnlyHint") is not True:
        marks.append('<span class="mark">repeatable</span>')
    return "".join(marks)


def _distinct_title(title: str, name: str) -> str:
    """Return the title, "" if it is the same as the name."""
    return "" if title == name else title


def _written(value: Any) -> str:
    return json.dumps(value if isinstance(value, dict) else {}, indent=2, ensure_ascii=False)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
