"""Validation of capability files beyond their structure: the rules CAP-001 to CAP-010."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mcpgw.capabilities.command_rules import code_from_inputs
from mcpgw.capabilities.credentials import is_reference
from mcpgw.capabilities.inputs import patched
from mcpgw.capabilities.model import METHODS, Auth, Capability, Provider, ProviderConfig
from mcpgw.capabilities.styles import STYLES
from mcpgw.capabilities.templating import Placeholder, parse, placeholders
from mcpgw.config.json_path import PathError, parse_path
from mcpgw.config.problems import Findings
from mcpgw.text.did_you_mean import correction

Key = tuple[str | int, ...]

_NAME: Final = re.compile(r"[a-z0-9_]{1,64}")
_LONGEST_DESCRIPTION: Final = 1024
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+*-]+(?:\s*;[ -~]*)?")
_SECRET_KEY: Final = re.compile(r"sk-|token", re.IGNORECASE)


def check(capability: Capability, document: Mapping[Any, Any], path: Path, found: Findings) -> None:
    """Report all errors and warnings of a capability.

    Args:
      capability: the parsed capability.
      document: the data of its file.
      path: the file.
      found: collects the findings.
    """
    _names(capability, path, found)
    _schemas(capability, found)
    inputs = _properties(capability.schema.input)
    for place, provider in _providers(capability, document):
        _provider(provider, place, found)
        _templates(capability, provider, place, inputs, found)
        _response(provider, (*place, "config"), found)
        _null(document, (*place, "config", "fails_when"), found)
    for bucket, paths in (capability.projection or {}).items():
        for name, text in paths.items():
            _path(text, ("projection", bucket, name), found)
    _auth(capability, found)
    if capability.cache.seconds and not capability.read_only:
        hint = "If a call changes nothing, set `metadata: {read_only: true}`; else remove `cache`."
        found.error(("cache",), "CAP-005: only read-only tools can be cached", hint)
    for name, hook in capability.webhooks.items():
        if not hook.path:
            found.error(("webhooks", name), "CAP-005: a webhook must have a `path`")
        if hook.secret and not is_reference(hook.secret):
            hint = "Write env:NAME, keychain:NAME or file:PATH:FIELD."
            found.error(("webhooks", name, "secret"), "CAP-005: must be a reference", hint)


def _names(capability: Capability, path: Path, found: Findings) -> None:
    if not _NAME.fullmatch(capability.name):
        message = f"CAP-001: {capability.name!r:.80} is not a valid name"
        found.error(("name",), message, "Use up to 64 of a-z, 0-9 and '_'.")
    elif path.stem != capability.name:
        found.warn(("name",), f"CAP-010: the file is named {path.name}", "Give both the same name.")
    if not capability.description:
        hint = "Describe in a sentence what it returns and when to use it; search uses it."
        found.warn(("description",), "CAP-002: the description is empty", hint)
    elif len(capability.description) > _LONGEST_DESCRIPTION:
        size = len(capability.description)
        found.warn(
            ("description",),
            f"CAP-002: should have at most {_LONGEST_DESCRIPTION} characters, not {size}",
        )


def _schemas(capability: Capability, found: Findings) -> None:
    for name, code, schema in (
        ("input", "CAP-003", capability.schema.input),
        ("output", "CAP-004", capability.schema.output),
    ):
        if schema is None:
            continue
        kind = schema.get("type", "object")
        if name == "input" and kind != "object":
            found.error(("schema", name, "type"), f"{code}: must be object, not {kind!r:.40}")
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping):
            found.error(
                ("schema", name, "properties"), f"{code}: must be a map of names to schemas"
            )
            continue
        for key, each in properties.items():
            if not isinstance(each, (Mapping, bool)):
                place: Key = ("schema", name, "properties", str(key))
                found.error(place, f"{code}: must be a JSON Schema", "Example: {type: string}.")
        required = schema.get("required", [])
        if not isinstance(required, list) or not all(isinstance(r, str) for r in required):
            found.error(("schema", name, "required"), f"{code}: must be a list of names")
        elif name == "input":
            for each in required:
                if each not in properties and properties:
                    message = f"CAP-003: {each!r:.60} is required, but is not a property"
                    found.error(("schema", name, "required"), message)
        _check_schema(schema, ("schema", name), code, found)


def _check_schema(schema: Mapping[str, Any], place: Key, code: str, found: Findings) -> None:
    import jsonschema_rs

    try:
        jsonschema_rs.meta.validate({"$schema": _DIALECT, **schema})
    except jsonschema_rs.ValidationError as error:
        location: Key = (*place, *error.instance_path)
        found.error(location, f"{code}: must be a JSON Schema: {error.message[:200]}")
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        found.error(place, f"{code}: must be a JSON Schema: {str(error)[:200]}")


_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _properties(schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the declared inputs, None if there may be others."""
    if schema is None or not isinstance(schema.get("properties", {}), Mapping):
        return None
    if any(key in schema for key in ("allOf", "anyOf", "oneOf", "$ref", "patternProperties")):
        return None
    properties: Mapping[str, Any] = schema.get("properties", {})
    return properties


def _providers(
    capability: Capability, document: Mapping[Any, Any]
) -> Iterator[tuple[Key, Provider]]:
    if capability.primary is not None:
        yield ("providers", "primary"), capability.primary
    single = isinstance((document.get("providers") or {}).get("fallback"), Mapping)
    for index, provider in enumerate(capability.fallback):
        key: Key = ("providers", "fallback") if single else ("providers", "fallback", index)
        yield key, provider


def _provider(provider: Provider, place: Key, found: Findings) -> None:
    config, inside = provider.config, (*place, "config")
    if provider.service in ("rest", "graphql", "jsonrpc"):
        if not (config.base_url or config.endpoint):
            message = f"CAP-005: a {provider.service} provider must have `base_url` or `endpoint`"
            found.error(inside, message)
        for name in ("base_url", "endpoint"):
            _url(getattr(config, name), (*inside, name), found)
    if provider.service == "rest":
        if config.method.upper() not in METHODS:
            message = f"CAP-005: must be one of {', '.join(METHODS)}, not {config.method!r:.40}"
            found.error((*inside, "method"), message)
        if config.path and not config.path.startswith(("/", "?", "{")):
            found.warn((*inside, "path"), "CAP-008: should start with '/'")
        if config.body is not None and config.method.upper() in ("GET", "HEAD"):
            found.warn(
                (*inside, "body"),
                f"CAP-005: a {config.method.upper()} request should not have a body",
            )
    _other_services(provider, inside, found)
    both = set(config.static_params) & set(config.params)
    for name in sorted(both):
        found.warn((*inside, "static_params", name), "CAP-007: is in `params` too")


def _other_services(provider: Provider, inside: Key, found: Findings) -> None:
    config = provider.config
    if provider.service == "mcp" and not (config.server and config.tool):
        found.error(inside, "CAP-005: an mcp provider must have `server` and `tool`")
    if provider.service == "cli":
        if not config.command:
            found.error(inside, "CAP-005: a cli provider must have `command`, a list of words")
        elif not isinstance(config.command[0], str) or "{" in config.command[0]:
            message = "CAP-005: the program must be a plain word that no input can change"
            found.error((*inside, "command", 0), message)
        elif (problem := code_from_inputs(config.command, config.stdin)) is not None:
            found.error((*inside, problem.key, *problem.index), problem.message, problem.hint)


def _response(provider: Provider, inside: Key, found: Findings) -> None:
    """Check the settings that are applied to a response."""
    config = provider.config
    _path(config.response_path, (*inside, "response_path"), found)
    if config.body_content_type and not _MEDIA_TYPE.fullmatch(config.body_content_type):
        place = (*inside, "body_content_type")
        found.error(place, "CAP-005: must be a media type", "Example: application/json.")
    if (failure := config.fails_when) is not None:
        place = (*inside, "fails_when")
        if not failure.path:
            found.error(place, "CAP-005: must have a `path`", "Example: {path: ok, equals: false}.")
        if failure.equals and failure.not_equals:
            found.error(place, "CAP-005: must have `equals` or `not_equals`, not both")
        _path(failure.path, (*place, "path"), found)
        _path(failure.message, (*place, "message"), found)
    if (rule := config.pagination) is not None:
        place = (*inside, "pagination")
        _path(rule.next, (*place, "next"), found)
        _path(rule.items, (*place, "items"), found)
        needed = {"cursor": ("parameter", "next"), "link": ()}.get(rule.style, ("parameter",))
        for name in needed:
            if not getattr(rule, name):
                found.error(place, f"CAP-005: pagination by {rule.style} must have `{name}`")


def _null(document: Mapping[Any, Any], place: Key, found: Findings) -> None:
    """Report a comparison with null, which would be taken for an unset key."""
    raw: Any = document
    for key in place:
        known = isinstance(raw, Mapping) or (isinstance(raw, list) and isinstance(key, int))
        raw = (raw.get(key) if isinstance(raw, Mapping) else raw[key]) if known else None
    for name in ("equals", "not_equals") if isinstance(raw, Mapping) else ():
        if name in raw and raw[name] is None:
            found.error((*place, name), "CAP-005: must not be null", f"Write `{name}: [null]`.")


def _path(text: str, place: Key, found: Findings) -> None:
    """Check a path into a response, written as `responses.pick` reads it."""
    try:
        parse_path(text.removeprefix("$").removeprefix("."))
    except PathError as error:
        found.error(place, f"CAP-005: {error}", "Examples: items[].name, data.0.id.")


def _url(text: str, place: Key, found: Findings) -> None:
    if not text:
        return
    parts = parse(text)
    if isinstance(parts[0], Placeholder):
        return  # the whole URL is filled in later
    plain = "".join(part if isinstance(part, str) else "0" for part in parts)
    try:
        url = urlsplit(plain)
        good = url.scheme in ("http", "https") and bool(url.hostname)
    except ValueError:
        good = False
    if not good:
        hint = "Example: https://api.example.com/v1"
        found.error(place, "CAP-008: must be an http or https URL", hint)


def _templates(
    capability: Capability,
    provider: Provider,
    place: Key,
    inputs: Mapping[str, Any] | None,
    found: Findings,
) -> None:
    config, inside = provider.config, (*place, "config")
    known = None if inputs is None else {*inputs, *config.static_params}
    _patched_defaults(capability, provider, inputs, found)
    for name in (
        *("base_url", "path", "endpoint", "headers", "params", "cookies", "body", "variables"),
        *("arguments", "command", "stdin"),
    ):
        template = getattr(config, name)
        extra = {"item"} if name in ("body", "variables", "arguments", "command") else set()
        for each in placeholders(list(template) if isinstance(template, tuple) else template):
            if each.raw and name not in ("path", "base_url", "endpoint"):
                message = f"CAP-006: {each.text} is only supported in URLs"
                found.error((*inside, name), message, f"Write {{{each.path}}}.")
            if each.secret is None and known is not None and each.root not in known | extra:
                _undeclared(each, (*inside, name), known, found)
    for name in config.param_map if known is not None else ():
        if known is not None and name not in known:
            _undeclared(Placeholder(name, name), (*inside, "param_map"), known, found)
    _selector(config.path_selector, inputs, inside, found)
    _styles(config, known, (*inside, "styles"), found)


def _styles(
    config: ProviderConfig, known: Collection[str] | None, place: Key, found: Findings
) -> None:
    """Report styles of parameters that do not exist, or that their location does not have."""
    in_url = {each.root for each in placeholders([config.base_url, config.path, config.endpoint])}
    if config.path_selector is not None:
        in_url |= {each.root for each in placeholders(config.path_selector.paths)}
    body = config.body if isinstance(config.body, Mapping) else None
    sent: dict[str, Any] = {
        "path": in_url,
        "query": {*config.params, *config.param_map.values(), *config.static_params},
        "header": set(config.headers),
        "cookie": set(config.cookies),
        "body": body,
    }
    for location, styles in STYLES.items():
        for name, how in getattr(config.styles, location).items():
            key = (*place, location, name)
            if how.style and how.style not in styles:
                message = f"CAP-005: must be one of {', '.join(styles)}, not {how.style}"
                found.error((*key, "style"), message)
            names = sent[location]
            if names is not None and name not in names:
                close = correction(name, names)
                hint = f"Did you mean '{close}'?" if close else ""
                found.error(key, f"CAP-005: there is no such parameter in the {location}", hint)
            for header in placeholders(how.headers):
                if header.secret is None and known is not None and header.root not in known:
                    _undeclared(header, (*key, "headers"), known, found)


def _patched_defaults(
    capability: Capability,
    provider: Provider,
    inputs: Mapping[str, Any] | None,
    found: Findings,
) -> None:
    """Warn of defaults that are not sent, since a partial update would overwrite fields."""
    if provider.service != "rest" or provider.config.method.upper() != "PATCH":
        return
    for name in sorted(patched(capability) & (inputs or {}).keys()):
        declared = (inputs or {})[name]
        if isinstance(declared, Mapping) and declared.get("default") is not None:
            found.warn(
                ("schema", "input", "properties", name, "default"),
                "CAP-007: is not sent, since a PATCH request changes only what the caller names",
                "Mention it in the description, or write a fixed value into the body.",
            )


def _undeclared(each: Placeholder, place: Key, known: Collection[str], found: Findings) -> None:
    close = correction(each.root, known)
    hint = f"Did you mean '{close}'?" if close else "Declare it under schema.input.properties."
    found.error(place, f"CAP-006: {each.text} is not a declared input", hint)


def _selector(
    selector: Any, inputs: Mapping[str, Any] | None, inside: Key, found: Findings
) -> None:
    if selector is None:
        return
    place = (*inside, "path_selector")
    if not selector.parameter or not selector.paths:
        found.error(place, "CAP-005: must have `parameter` and `paths`")
        return
    if selector.default and selector.default not in selector.paths:
        found.error((*place, "default"), "CAP-005: must be one of its paths")
    declared = (inputs or {}).get(selector.parameter)
    enum = declared.get("enum") if isinstance(declared, Mapping) else None
    if inputs is not None and (not isinstance(enum, list) or set(enum) != set(selector.paths)):
        message = f"CAP-006: the input {selector.parameter!r} must be an enum of its paths"
        found.error((*place, "parameter"), message, f"enum: [{', '.join(selector.paths)}]")


def _auth(capability: Capability, found: Findings) -> None:
    auth = capability.auth
    if auth.grant:
        _grant(auth, found)
    if auth.required and not auth.key and not auth.own:
        found.error(("auth", "key"), "CAP-005: is missing, but required", "Example: env:MY_API_KEY")
    if auth.key and not is_reference(auth.key):
        raw = len(auth.key) > 20 or _SECRET_KEY.search(auth.key)
        message = "looks like a secret itself" if raw else "must be a reference to a secret"
        hint = "Write env:NAME, keychain:NAME, oauth:PROVIDER or file:PATH:FIELD."
        found.error(("auth", "key"), f"CAP-005: {message}", hint)


def _grant(auth: Auth, found: Findings) -> None:
    """Report settings that are missing for an OAuth grant, or contradict it."""
    if not auth.own:
        if not auth.key.startswith("oauth:"):
            message = f"CAP-005: `grant: {auth.grant}` requires the login of a user"
            found.error(("auth", "key"), message, "Write oauth:PROVIDER.")
        return
    if auth.key:
        message = f"CAP-005: `key` and `grant: {auth.grant}` exclude each other"
        found.error(("auth", "key"), message, "Remove one of the two.")
    for name, example in (
        ("token_endpoint", "https://login.example.com/oauth/token"),
        ("client_id", "env:MY_CLIENT_ID"),
        ("client_secret", "env:MY_CLIENT_SECRET"),
    ):
        if not getattr(auth, name):
            message = f"CAP-005: is missing, but `grant: {auth.grant}` requires it"
            found.error(("auth", name), message, f"Example: {example}")
    secret = auth.client_secret
    if secret and (not is_reference(secret) or secret.startswith("oauth:")):
        hint = "Write env:NAME, keychain:NAME or file:PATH:FIELD."
        found.error(("auth", "client_secret"), "CAP-005: must be a reference to a secret", hint)
