"""Validation of a call's arguments against the tool's inputSchema, with helpful errors."""

from __future__ import annotations

import json

from mcpgw.example.kit import Json, ToolError

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_WORDS = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


def check_arguments(schema: Json, arguments: Json) -> None:
    """Validate arguments; supports the keywords that the example's own schemas use.

    Raises:
      ToolError: an argument is invalid; the message gives its name and value.
    """
    properties = schema["properties"]
    required = schema["required"]
    if not isinstance(properties, dict) or not isinstance(required, list):
        raise TypeError("an inputSchema of the example must have properties and required")
    for name in arguments:
        if name not in properties:
            raise ToolError(_unknown(name, list(properties)))
    for name in required:
        if name not in arguments:
            about = properties[name].get("description", "")
            raise ToolError(f"'{name}' is missing. {about}")
    for name, value in arguments.items():
        _check(properties[name], value, f"'{name}'")


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f"Unknown argument '{name}'. This tool has no arguments."
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"Unknown argument '{name}'.{hint} Arguments: {', '.join(known)}."


def _check(schema: Json, value: object, where: str) -> None:
    kind = str(schema["type"])
    fits = isinstance(value, _KINDS[kind]) and isinstance(value, bool) is (kind == "boolean")
    if kind == "integer" and isinstance(value, float):
        fits = value.is_integer()
    if not fits:
        raise ToolError(f"{where} must be {_WORDS[kind]}, not {_shown(value)}.")
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in choices:
        listed = ", ".join(str(choice) for choice in choices)
        raise ToolError(f"{where} must be one of {listed}, not {_shown(value)}.")
    if isinstance(value, str):
        _check_text(schema, value, where)
    elif isinstance(value, list):
        _check_list(schema, value, where)
    elif isinstance(value, (int, float)):
        _check_number(schema, value, where)


def _check_text(schema: Json, value: str, where: str) -> None:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 100_000)
    if isinstance(least, int) and len(value) < least:
        raise ToolError(f"{where} must not be empty.")
    if isinstance(most, int) and len(value) > most:
        raise ToolError(f"{where} must have at most {most} characters, not {len(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ToolError(f"{where} must not contain a lone surrogate.") from None


def _check_number(schema: Json, value: float, where: str) -> None:
    # Larger numbers, even finite ones, overflow when added.
    if not -1e300 < value < 1e300:
        raise ToolError(f"{where} must be between -1e300 and 1e300.")
    least, most = schema.get("minimum"), schema.get("maximum")
    if isinstance(least, (int, float)) and value < least:
        raise ToolError(f"{where} must be at least {least}, not {value}.")
    if isinstance(most, (int, float)) and value > most:
        raise ToolError(f"{where} must be at most {most}, not {value}.")


def _check_list(schema: Json, value: list[object], where: str) -> None:
    least, most = schema.get("minItems", 0), schema.get("maxItems", 10_000)
    if isinstance(least, int) and len(value) < least:
        raise ToolError(f"{where} must have at least {least} {'item' if least == 1 else 'items'}.")
    if isinstance(most, int) and len(value) > most:
        raise ToolError(f"{where} must have at most {most} items, not {len(value)}.")
    items = schema.get("items")
    if isinstance(items, dict):
        for position, item in enumerate(value):
            _check(items, item, f"{where}, item {position}")


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
