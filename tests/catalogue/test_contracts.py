"""Every built-in capability against the documented form of its API, played by a local server.

What would be sent is compared with what the API's documentation asks for, written down by hand
in `contracts`; then a documented answer is played back.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.builtin import builtin_folder
from mcpgw.capabilities.commands import command_line
from mcpgw.capabilities.inputs import with_defaults
from mcpgw.capabilities.parsing import read_capability
from mcpgw.capabilities.requests import values_of
from mcpgw.config.yamlfile import parse
from tests.support.capability_calls import executor, text_of, value_of
from tests.support.playback import Asked, Playback, Played, playback

CONTRACTS = Path(__file__).parent / "contracts"
BUILTIN = builtin_folder()
assert BUILTIN is not None
FILES = sorted(BUILTIN.glob("*/*.yaml"))


@pytest.fixture(scope="module")
def stage() -> Iterator[Playback]:
    """Run the local server for all contracts."""
    with playback() as running:
        yield running


def contract_of(path: Path) -> Mapping[str, Any]:
    """Return the contract of a capability file."""
    file = CONTRACTS / path.parent.name / path.name
    found = parse(file.read_text("utf-8"))
    assert isinstance(found, Mapping), f"{file} is a map"
    return found


def answer_of(response: Mapping[str, Any]) -> Played:
    """Return the documented answer."""
    if "json" in response:
        content = json.dumps(response["json"]).encode()
    elif "base64" in response:
        content = base64.b64decode(response["base64"])
    else:
        content = str(response.get("text", "")).encode()
    kind = response.get("content_type", "application/json")
    return Played(int(response.get("status", 200)), content, {"content-type": kind})


def parts_of(asked: Asked) -> list[dict[str, str]]:
    """Return the parts of a multipart body."""
    head = f"content-type: {asked.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=policy.HTTP).parsebytes(head + asked.body)
    found = []
    for part in message.iter_parts():
        each = {"name": str(part.get_param("name", header="content-disposition"))}
        if (filename := part.get_filename()) is not None:
            each |= {"filename": filename, "type": part.get_content_type()}
            each["base64"] = base64.b64encode(part.get_payload(decode=True)).decode()
        else:
            each["text"] = part.get_payload(decode=True).decode()
        found.append(each)
    return found


def pairs(wanted: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return documented parameters as they come by the wire."""
    return {
        name: [written(v) for v in (value if isinstance(value, list) else [value])]
        for name, value in wanted.items()
    }


def written(value: Any) -> str:
    """Write a value as text."""
    if isinstance(value, str):
        return value
    return json.dumps(value)


def with_emails_read(sent: Any, wanted: Any) -> Any:
    """Return what was sent with e-mails taken apart where the documented form does so."""
    if isinstance(wanted, Mapping) and set(wanted) == {"$email"}:
        raw = base64.urlsafe_b64decode(sent + "=" * (-len(sent) % 4))
        message = BytesParser(policy=policy.SMTP).parsebytes(raw)
        parts = message.get_body()
        assert parts is not None
        found = {name: str(message[name]) for name in wanted["$email"] if message[name]}
        found |= {"content_type": parts.get_content_type()}
        found |= {"body": parts.get_content().strip()}
        return {"$email": {name: found.get(name) for name in wanted["$email"]}}
    if isinstance(wanted, Mapping) and isinstance(sent, Mapping):
        return {key: with_emails_read(value, wanted.get(key)) for key, value in sent.items()}
    return sent


def check_graphql(sent: Any, wanted: Mapping[str, Any]) -> None:
    """Compare a GraphQL request: the kind of operation, its root field, and its variables."""
    query = sent["query"]
    assert re.match(rf"\s*{wanted['kind']}\b", query)
    assert re.search(rf"\{{\s*(?:\w+\s*:\s*)?{wanted['root']}\s*[({{]", query)
    assert query.count("{") == query.count("}")
    assert query.count("(") == query.count(")")
    assert (wanted.get("variables") or {}) == sent.get("variables", {})
    declared = set(re.findall(r"\$(\w+)\s*:", query))
    assert set(sent.get("variables", {})) <= declared


def check_request(asked: Asked, wanted: Mapping[str, Any]) -> None:
    """Compare a request with its documented form."""
    assert (wanted["method"], wanted["url"]) == (asked.method, asked.url)
    assert pairs(wanted.get("query") or {}) == asked.query
    for name, value in (wanted.get("headers") or {}).items():
        assert written(value) == asked.headers.get(name.lower()), name
    if "json" in wanted:
        assert wanted["json"] == with_emails_read(asked.json, wanted["json"])
    elif "graphql" in wanted:
        check_graphql(asked.json, wanted["graphql"])
    elif "form" in wanted:
        assert pairs(wanted["form"]) == asked.form
    elif "multipart" in wanted:
        parts = parts_of(asked)
        for part, given in zip(wanted["multipart"], parts, strict=True):
            assert {k: written(v) for k, v in part.items()} == {k: given.get(k) for k in part}
    elif "text" in wanted:
        assert wanted["text"] == asked.body.decode()
    else:
        assert b"" == asked.body


def log_in(folder: Path, tokens: Mapping[str, str]) -> None:
    """Put tokens where the engine looks for logins of providers."""
    for provider, token in tokens.items():
        file = folder / "logins" / f"{provider}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"access_token": token}))


def bytes_of(path: Path) -> bytes:
    """Return the content of a file."""
    return path.read_bytes()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_contract(path: Path, stage: Playback, tmp_path: Path) -> None:
    """The request has its documented form, and the documented answer gives the result."""
    capability, warnings = read_capability(path, bytes_of(path))
    assert () == warnings
    if not capability.providers:
        assert capability.webhooks, "a file without provider receives webhooks"
        return
    contract = contract_of(path)
    assert str(contract.get("docs", "")).startswith("https://") or "argv" in contract
    arguments = contract.get("arguments") or {}
    environ = {k: str(v) for k, v in (contract.get("environment") or {}).items()}
    if "argv" in contract:
        inputs = with_defaults(capability, arguments)
        assert capability.primary is not None
        argv = command_line(capability.primary.config.command, values_of(inputs, environ))
        assert contract["argv"] == argv
        return
    log_in(tmp_path, contract.get("oauth") or {})
    stage.asked.clear()
    files = contract.get("files") or {}

    def play(asked: Asked) -> Played:
        if (file := files.get(asked.url)) is not None:
            return answer_of(file)
        return answer_of(contract.get("response") or {})

    stage.play = play
    async with executor(tmp_path, environ, stage=stage) as calls:
        result = await calls.call(capability, arguments, path=path)
    assert not result["isError"], text_of(result)
    asked = [each for each in stage.asked if each.url not in files]
    check_request(asked[-1], contract["request"])
    if "result" in contract:
        assert contract["result"] == value_of(result)


def test_every_capability_has_its_contract() -> None:
    """None is shipped that was never compared with its API's documentation."""
    without = [
        path.stem
        for path in FILES
        if not (CONTRACTS / path.parent.name / path.name).exists()
        and read_capability(path, path.read_bytes())[0].providers
    ]
    assert [] == without


def test_there_are_enough_of_them() -> None:
    """The claim of the README, and no two of one name."""
    names = [path.stem for path in FILES]
    assert len(names) == len(set(names))
    assert len(names) >= 120
