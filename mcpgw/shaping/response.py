"""Response transforms: project, rename, redact and format results, and `_fields` of callers."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from mcpgw.config.json_path import JsonPath, parse_path
from mcpgw.config.transforms import PLACE, ResponseTransform
from mcpgw.shaping.projection import describe_keys, project, project_nested, projected_keys
from mcpgw.shaping.redaction import Redactor
from mcpgw.shaping.results import (
    MAX_DEPTH,
    Result,
    dump,
    payload,
    texts,
    with_payload,
    with_texts,
)

TEXT_PLACE: Final = "text"
"""The placeholder of a template for a plain text result."""


@attrs.frozen
class ResponseShaper:
    """A sequence of response transforms.

    Creating one is cheap, because each transform is prepared once and cached.
    """

    transforms: Sequence[ResponseTransform]

    def apply(self, result: Result) -> Result:
        """Return a transformed copy of a `tools/call` result, or the given one if unchanged.

        Transforms apply to `structuredContent`, or else to the only text if it is a JSON object
        or array. The outcome is written as compact JSON text, and also as `structuredContent` if
        there was one and it is still an object. Plain texts are redacted, and inserted into a
        template with the placeholder `{{text}}`. Images, audio, resources and `_meta` are
        unchanged. Errors are only redacted.
        """
        plans = [_plan(transform) for transform in self.transforms]
        if result.get("isError") is True or not any(plan.reshapes for plan in plans):
            return _redacted(result, plans)
        given = payload(result)
        if given is None:
            return _shaped_texts(result, plans)
        shaped = given
        for plan in plans:
            # After a template has turned the value into text, later transforms treat it as text.
            shaped = plan.on_text(shaped) if isinstance(shaped, str) else plan.on_json(shaped)
        return result if shaped is given else with_payload(result, shaped)

    def redact(self, result: Result) -> Result:
        """Return the result with only the redactions of the transforms applied."""
        return _redacted(result, [_plan(transform) for transform in self.transforms])


def project_result(result: Result, paths: Sequence[JsonPath]) -> Result:
    """Return a result with only the parts at these paths, each in its place.

    Plain text and errors are unchanged. If nothing is found, a second text lists the keys.
    """
    given = None if result.get("isError") is True else payload(result)
    if given is None or not paths:
        return result
    shaped = project_nested(given, paths)
    if shaped is given:
        return result
    answer = with_payload(result, shaped)
    if given and not shaped:
        missing = ", ".join(path.text for path in paths)
        verb = "is" if isinstance(given, list) else "has"
        note = f"Nothing found at {missing}. The result {verb} {describe_keys(given)}."
        answer["content"].append({"type": "text", "text": note})
    return answer


def _redacted(result: Result, plans: Sequence[_Plan]) -> Result:
    for plan in plans:
        if plan.redactor is not None:
            result = plan.redactor.result(result)
    return result


def _shaped_texts(result: Result, plans: Sequence[_Plan]) -> Result:
    if result.get("structuredContent") is not None:
        # Neither an object nor an array: invalid as structured content, and it was not redacted.
        result = {key: value for key, value in result.items() if key != "structuredContent"}
    given = texts(result)
    new = given
    for plan in plans:
        new = plan.on_texts(new)
    return result if new == given else with_texts(result, new)


@attrs.frozen
class _Plan:
    """One response transform, prepared to run.

    `early_redactor` redacts fields by the backend's own names, before `keys` and `names` change
    them; `redactor` applies all redactions, by the names in the final result.
    """

    keys: Mapping[str, JsonPath]
    names: Mapping[str, str]
    early_redactor: Redactor | None
    redactor: Redactor | None
    flat: bool
    template: tuple[str | JsonPath, ...]

    @property
    def reshapes(self) -> bool:
        """True if it does more than redact."""
        return bool(self.keys or self.names or self.flat or self.template)

    def on_json(self, value: Any) -> Any:
        """Transform an object or array: the outcome is JSON, or text if there is a template."""
        if self.early_redactor is not None:
            value = self.early_redactor.value(value)
        if self.keys:
            value = project(value, self.keys)
        if self.names and isinstance(value, dict):
            value = _renamed(value, self.names)
        if self.redactor is not None:
            value = self.redactor.value(value)
        if self.flat:
            value = _flat(value)
        return self._filled(value) if self.template else value

    def on_text(self, text: str) -> str:
        """Transform a plain text."""
        return self.on_texts([text])[0]

    def on_texts(self, given: list[str]) -> list[str]:
        """Transform plain texts: the outcome is as many, or one if a template joins them."""
        if self.redactor is not None:
            given = [self.redactor.text(text) for text in given]
        places = [part.text for part in self.template if isinstance(part, JsonPath)]
        if given and TEXT_PLACE in places:
            return [self._filled({TEXT_PLACE: "\n".join(given)})]
        return given

    def _filled(self, value: Any) -> str:
        return "".join(
            part if isinstance(part, str) else _inline(value, part) for part in self.template
        )


@functools.lru_cache(maxsize=256)
def _plan(transform: ResponseTransform) -> _Plan:
    form = transform.format
    redactor = Redactor.of(transform.redact) if transform.redact else None
    moves = bool(transform.project or transform.rename)
    return _Plan(
        projected_keys(transform.project),
        dict(transform.rename),
        Redactor(redactor.names) if redactor is not None and redactor.names and moves else None,
        redactor,
        form is not None and form.type == "flat",
        _template(form.template) if form is not None and form.type == "template" else (),
    )


def _template(text: str) -> tuple[str | JsonPath, ...]:
    pieces = re.split(PLACE, text)
    return tuple(parse_path(piece.strip()) if at % 2 else piece for at, piece in enumerate(pieces))


def _inline(value: Any, path: JsonPath) -> str:
    """Return a value as text for a template; a key equal to the whole path takes precedence."""
    literal = isinstance(value, dict) and path.text in value
    found = value[path.text] if literal else path.pick(value)
    if found is None:
        return ""
    return found if isinstance(found, str) else dump(found)


def _renamed(value: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Rename keys simultaneously; a key keeps its name if the new one is used by a kept key.

    An old name with dots means its last part, which is the key that a projection gives.
    """
    new: dict[str, str] = {}
    for old, name in names.items():
        key = old if old in value else old.rpartition(".")[2].removesuffix("[]")
        if key in value:
            new.setdefault(key, name)
    while taken := [key for key, name in new.items() if name in value and name not in new]:
        for key in taken:
            del new[key]
    return {new.get(key, key): each for key, each in value.items()} if new else value


def _flat(value: Any) -> Any:
    """Return an object of one level: `{"a": {"b": [1]}}` becomes `{"a.b[0]": 1}`."""
    found: dict[str, list[Any]] = {}
    for key, leaf in _leaves(value, "", MAX_DEPTH):
        found.setdefault(key, []).append(leaf)
    # Keys that contain dots may collide; then all values are kept in a list.
    return {key: leaves[0] if len(leaves) == 1 else leaves for key, leaves in found.items()}


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth == 0 or not value or not isinstance(value, dict | list):
        if path:
            yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key, depth - 1)
    else:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]", depth - 1)
