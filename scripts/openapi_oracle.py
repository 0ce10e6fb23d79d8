"""Compare the requests of imported OpenAPI operations with those that the specification defines.

Each case of `openapi_cases.py` is imported, called and compared with its expected request. With
openapi-core installed, that library also reads the requests by the same document, and must find
the arguments of the call (`--quick` leaves that out). The exit status is 1 if a request is wrong.

python scripts/openapi_oracle.py [--quick] [--verbose]
"""

from __future__ import annotations

import argparse
import email.policy
import importlib.util
import json
import sys
from collections.abc import Mapping
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from openapi_cases import FORM, MULTIPART, SERVER, Case, Part, cases

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.http_sender import HttpRequest
from mcpgw.capabilities.inputs import with_defaults
from mcpgw.capabilities.parsing import read_capability
from mcpgw.capabilities.requests import draft, values_of
from mcpgw.openapi_import import convert
from mcpgw.openapi_import.writing import rendered

SOURCE = "https://doc.example/api/openapi.json"


def document_of(case: Case) -> dict[str, Any]:
    """Return the document of a case."""
    item = {case.method: dict(case.operation), **case.item}
    base: dict[str, Any] = {
        "openapi": "3.1.1",
        "info": {"title": "Case", "version": "1"},
        "servers": [{"url": SERVER}],
        "paths": {case.path: item},
    }
    if "swagger" in case.document:
        del base["openapi"], base["servers"]
    made = {**base, **case.document}
    return {key: value for key, value in made.items() if value is not None}


def request_of(case: Case) -> HttpRequest:
    """Import the operation of a case, read its file back and return the request of the call.

    Raises:
      CallProblem: the call is refused.
      AssertionError: the operation is not imported, or its schema refuses the arguments.
    """
    import jsonschema_rs

    found = convert(document_of(case), source=SOURCE)
    assert found.capabilities, f"not imported: {found.skipped}"
    imported = found.capabilities[0]
    capability, _ = read_capability(Path(f"{imported.name}.yaml"), rendered(imported))
    assert capability.primary is not None
    schema = capability.schema.input or {}
    if case.target is not None:
        jsonschema_rs.validator_for(dict(schema)).validate(dict(case.arguments))
    inputs = with_defaults(capability, case.arguments)
    assert capability.primary is not None
    made = draft(capability.primary, inputs, values_of(inputs, {}), capability.auth, "")
    return made.outgoing()


def differences(case: Case, made: HttpRequest) -> list[str]:
    """Return how a request differs from the expected one."""
    found: list[str] = []
    if case.target is None:
        return [f"should have been refused: {made.url}"]
    expected = {"method": case.method.upper(), "url": f"{case.server}{case.target}"}
    for name, value in expected.items():
        if value != getattr(made, name):
            found.append(f"{name}: {getattr(made, name)}, not {value}")
    for name, text in case.headers.items():
        if text != made.headers.get(name):
            found.append(f"{name}: {made.headers.get(name)!r}, not {text!r}")
    kind = made.headers.get("content-type", "").partition(";")[0]
    if kind != case.kind:
        found.append(f"content type: {kind}, not {case.kind}")
    elif case.kind and not found:
        found += _body_differences(case, made)
    elif not case.kind and made.content is not None:
        found.append(f"there should be no body: {made.content!r:.80}")
    return found


def _body_differences(case: Case, made: HttpRequest) -> list[str]:
    content = made.content or b""
    if case.kind == MULTIPART:
        parts = parts_of(made)
        return [] if parts == case.body else [f"parts: {parts}, not {case.body}"]
    value = content if isinstance(case.body, bytes) else json.loads(content)
    return [] if value == case.body else [f"body: {value!r}, not {case.body!r}"]


def parts_of(made: HttpRequest) -> list[Part]:
    """Return the parts of a multipart body, as the standard library reads them."""
    head = f"Content-Type: {made.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=email.policy.HTTP).parsebytes(head + (made.content or b""))
    found = []
    for part in message.iter_parts():
        headers = {
            name: value
            for name, value in part.items()
            if name.lower() not in ("content-disposition", "content-type")
        }
        coding = headers.get("Content-Transfer-Encoding")
        del part["Content-Transfer-Encoding"]
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found.append(
            Part(
                str(part.get_param("name", header="content-disposition")),
                payload,
                part.get_content_type() if "content-type" in part else "",
                part.get_filename() is not None,
                {**headers, **({"Content-Transfer-Encoding": coding} if coding else {})},
            )
        )
    return found


def peer_differences(case: Case, made: HttpRequest) -> list[str]:
    """Return how openapi-core reads a request differently from the arguments of the call."""
    from urllib.parse import parse_qsl, urlsplit

    from openapi_core import OpenAPI
    from openapi_core.datatypes import RequestParameters
    from openapi_core.testing import MockRequest
    from werkzeug.datastructures import Headers, ImmutableMultiDict

    parts = urlsplit(made.url)
    cookies = dict(
        pair.strip().partition("=")[::2]
        for pair in made.headers.get("cookie", "").split(";")
        if pair
    )
    request = MockRequest(
        f"{parts.scheme}://{parts.netloc}",
        case.method,
        parts.path,
        content_type=made.headers.get("content-type", "application/json"),
        data=made.content,
    )
    request.parameters = RequestParameters(
        query=ImmutableMultiDict(parse_qsl(parts.query, keep_blank_values=True)),
        header=Headers(list(made.headers.items())),
        cookie=ImmutableMultiDict(cookies),
    )
    document = _without_defaults(document_of(case))
    for operation in document["paths"].values():
        operation[case.method].setdefault("responses", {"200": {"description": "Done."}})
    result = OpenAPI.from_dict(document).unmarshal_request(request)
    read = result.parameters
    found: dict[str, Any] = {}
    for place, group in (
        *(("path", read.path), ("query", read.query)),
        *(("header", read.header), ("cookie", read.cookie)),
    ):
        for name, value in group.items():
            found[
                f"{name}_{place}" if name in found or f"{name}_{place}" in case.arguments else name
            ] = value
    sent = {name: value for name, value in case.arguments.items() if value is not None}
    if case.kind == FORM or "json" in case.kind:
        body = result.body
        if isinstance(body, Mapping) and "body" not in case.arguments:
            body = {(f"{k}_body" if k in found else k): v for k, v in body.items()}
            found |= body
            sent = dict(case.arguments)
        else:
            found["body"], sent = body, dict(case.arguments)
    return [] if _same(found, sent) else [f"openapi-core reads {found}, not {sent}"]


def _without_defaults(node: Any) -> Any:
    """Return a document without defaults, which a server fills in for what was not sent."""
    if isinstance(node, list):
        return [_without_defaults(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    return {key: _without_defaults(each) for key, each in node.items() if key != "default"}


def _same(found: Any, sent: Any) -> bool:
    plain = json.loads(
        json.dumps(found, default=lambda value: getattr(value, "__dict__", str(value)))
    )
    return bool(plain == json.loads(json.dumps(sent)))


def main() -> int:
    """Print the share of right requests and the wrong ones; return 1 if there are any."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="leave out openapi-core")
    options.add_argument("--verbose", action="store_true", help="list the right ones too")
    given = options.parse_args()
    peer = not given.quick and importlib.util.find_spec("openapi_core") is not None
    total = right = read = 0
    for case in cases():
        total += 1
        wrong: list[str] = []
        try:
            made = request_of(case)
            wrong = differences(case, made)
            if peer and case.peer and not wrong:
                wrong = peer_differences(case, made)
                read += not wrong
        except CallProblem as problem:
            wrong = [] if case.target is None else [f"refused: {problem}"]
        except Exception as error:  # noqa: BLE001 - reported as a wrong request
            wrong = [f"{type(error).__name__}: {error}"]
        right += not wrong
        if wrong or given.verbose:
            print(f"{'wrong' if wrong else 'right'}  {case.name}")
        for line in wrong:
            print(f"       {line}")
    by_peer = f" openapi-core reads {read} of them as they were meant." if peer else ""
    print(f"{right} of {total} requests are right ({right / total:.1%}).{by_peer}")
    return 0 if right == total else 1


if __name__ == "__main__":
    sys.exit(main())
