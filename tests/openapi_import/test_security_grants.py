"""OAuth grants in the security schemes of OpenAPI documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.parsing import read_capability
from mcpgw.openapi_import.conversion import convert

LOGIN, TOKEN = "https://login.example/authorize", "https://login.example/token"
CODE = {"authorizationUrl": LOGIN, "tokenUrl": TOKEN, "scopes": {"read": "", "write": ""}}
OWN = {"tokenUrl": TOKEN, "scopes": {"read": ""}}


def imported(scheme: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return the `auth` of an operation with a scheme, from a file that is valid."""
    found = convert(
        {
            "openapi": "3.1.0",
            "info": {"title": "Tea"},
            "servers": [{"url": "https://api.example"}],
            "components": {"securitySchemes": {"sso": {"type": "oauth2", **scheme}}},
            "security": [{"sso": ["read"]}],
            "paths": {"/teas": {"get": {"operationId": "teas", "summary": "List teas."}}},
        },
        source="api.json",
        **options,
    )
    document = found.capabilities[0].document
    text = json.dumps(document)  # JSON is YAML
    read_capability(Path(f"{document['name']}.yaml"), text.encode())
    auth: dict[str, Any] = document["auth"]
    return auth


@pytest.mark.parametrize(
    "scheme",
    [
        {"flows": {"authorizationCode": CODE}},
        {"flows": {"authorizationCode": CODE, "clientCredentials": OWN}},
        {"flow": "accessCode", **CODE},
    ],
)
def test_a_login_of_a_user(scheme: dict[str, Any]) -> None:
    """The endpoints are those of the document, and the command is named."""
    auth = imported(scheme)
    assert ("oauth:tea_sso", LOGIN, TOKEN, ["read"]) == tuple(
        auth[key] for key in ("key", "authorization_endpoint", "token_endpoint", "scopes")
    )
    assert auth["description"].endswith("run: mcp-gateway auth login tea_sso.")


@pytest.mark.parametrize(
    "scheme",
    [
        {"flows": {"clientCredentials": OWN}},
        {"flows": {"clientCredentials": OWN, "authorizationCode": {"authorizationUrl": LOGIN}}},
        {"flow": "application", **OWN},
    ],
)
def test_a_token_of_the_client(scheme: dict[str, Any]) -> None:
    """Id and secret are references to variables."""
    auth = imported(scheme)
    assert ("client_credentials", TOKEN, "env:TEA_SSO_CLIENT_ID", "env:TEA_SSO_CLIENT_SECRET") == (
        tuple(auth[key] for key in ("grant", "token_endpoint", "client_id", "client_secret"))
    )
    assert "key" not in auth
    assert auth["description"].endswith("set TEA_SSO_CLIENT_ID and TEA_SSO_CLIENT_SECRET.")


@pytest.mark.parametrize(
    "scheme",
    [
        {"flows": {"implicit": {"authorizationUrl": LOGIN}}},
        {"flows": {"password": OWN}},
        {"flows": {"clientCredentials": {"tokenUrl": "/relative"}}},
        {"flows": {"clientCredentials": {"tokenUrl": "http://login.example/token"}}},
        {"flows": {"clientCredentials": {"tokenUrl": "https://[::1"}}},
        {"flows": {"authorizationCode": {"tokenUrl": TOKEN}}},
        {"flows": {"clientCredentials": None, "authorizationCode": [1]}},
        {"flows": 7},
        {"flow": "implicit", **CODE},
        {},
    ],
)
def test_what_gives_no_grant(scheme: dict[str, Any]) -> None:
    """A person must put a token into a variable."""
    auth = imported(scheme)
    assert "env:TEA_SSO" == auth["key"]
    assert "Put an access token into TEA_SSO." in auth["description"]


@pytest.mark.parametrize("flow", [{"clientCredentials": OWN}, {"authorizationCode": CODE}])
def test_a_key_that_was_given(flow: dict[str, Any]) -> None:
    """It replaces the grant."""
    auth = imported({"flows": flow}, auth_key="env:MINE")
    assert "env:MINE" == auth["key"]
    assert not {"grant", "token_endpoint", "authorization_endpoint", "client_id"} & set(auth)
