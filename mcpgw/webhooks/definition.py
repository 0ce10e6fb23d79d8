"""Endpoints, parsed from the `webhooks` section of capability files and checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from mcpgw.text.did_you_mean import correction
from mcpgw.webhooks.mapping import Template, template_problem

METHODS: Final = ("POST", "GET", "PUT", "PATCH", "DELETE")
SIGNATURES: Final = ("github", "linear", "stripe", "hmac-sha256", "none")
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "github": "x-hub-signature-256",
        "linear": "linear-signature",
        "stripe": "stripe-signature",
        "hmac-sha256": "x-hub-signature-256",
    }
)
"""The default header of each kind of signature."""
TOLERANCE: Final = 300.0
"""Default number of seconds that a signed time may be off."""
LONGEST_TOLERANCE: Final = 86400.0
"""Seconds; deliveries must be remembered for longer than this."""

_KEYS: Final = (
    "path",
    "method",
    "signature",
    "secret",
    "signature_header",
    "tolerance",
    "notify",
    "transform",
)
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~:@+,=.\-]+)+")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+")
_BRACED: Final = re.compile(r"\{(env|keychain)\.([^{}\s]+)\}")
_REFERENCE: Final = re.compile(r"(?:env|keychain|file):\S.*")


class WebhookProblem(ValueError):
    """An endpoint that must not be opened. The message never contains a secret."""


@attrs.frozen
class Endpoint:
    """A path that receives deliveries.

    Args:
      capability: the capability whose file declares it.
      name: its name in that file.
      path: the whole path with the base path, without a trailing slash.
      method: the HTTP method that it expects.
      signature: one of `SIGNATURES`.
      secret: the key of the signatures; None only if `signature` is `none`.
      secret_reference: the reference that the secret was looked up by.
      signature_header: the header with the signature, in lower case; "" without one.
      tolerance: seconds that a signed time may be off.
      notify: whether sessions are notified.
      event_type: template of the event's type; None for `webhook.CAPABILITY.NAME`.
      data: templates of the event's data; empty for the whole payload.
    """

    capability: str
    name: str
    path: str
    method: str = "POST"
    signature: str = "none"
    secret: str | None = attrs.field(default=None, repr=False)
    secret_reference: str = ""
    signature_header: str = ""
    tolerance: float = TOLERANCE
    notify: bool = True
    event_type: Template | None = None
    data: Mapping[str, object] = attrs.field(factory=dict)


def endpoint(
    capability: str,
    name: str,
    raw: Mapping[str, object],
    resolve: Callable[[str], str | None],
    *,
    base_path: str,
    require_signature: bool,
) -> Endpoint:
    """Parse `webhooks.NAME` of a capability file.

    Keys that are missing, None or "" are unset. The secret must be a reference:
    `env:NAME`, `{env.NAME}`, `keychain:NAME`, `{keychain.NAME}` or `file:PATH:FIELD`.

    Args:
      capability: the capability's name.
      name: the webhook's name in the file.
      raw: its definition.
      resolve: returns the secret of a reference (in the form with a colon), None if it is not
        set.
      base_path: prefix of the paths of all endpoints.
      require_signature: whether `signature: none` is refused.

    Raises:
      WebhookProblem: the definition is invalid, or its secret is not set.
    """
    where = f"webhook '{name}' of capability '{capability}'"
    try:
        _check_keys(raw, _KEYS)
        method = _method(raw)
        signature, header = _signature(raw, method, require_signature=require_signature)
        secret, reference = _secret(raw, signature, resolve)
        event_type, data = _transform(raw)
        return Endpoint(
            capability=capability,
            name=name,
            path=_path(raw, base_path),
            method=method,
            signature=signature,
            secret=secret,
            secret_reference=reference,
            signature_header=header,
            tolerance=_tolerance(raw, signature),
            notify=_notify(raw),
            event_type=event_type,
            data=data,
        )
    except WebhookProblem as problem:
        raise WebhookProblem(f"{where}: {problem}") from None


def _text(raw: Mapping[str, object], key: str) -> str:
    value = raw.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WebhookProblem(f"`{key}` must be a string, not {type(value).__name__}")
    return value.strip()


def _check_keys(raw: Mapping[str, object], known: Iterable[str], inside: str = "") -> None:
    for key in raw:
        if key not in known:
            raise WebhookProblem(f"unknown key `{inside}{key}`{_hint(str(key), known)}")


def _hint(word: str, known: Iterable[str]) -> str:
    known = tuple(known)
    meant = correction(word, known)
    return f"; did you mean `{meant}`?" if meant else f"; known: {', '.join(known)}"


def _path(raw: Mapping[str, object], base_path: str) -> str:
    path = _text(raw, "path")
    if not path.strip("/"):
        raise WebhookProblem(
            "`path` is missing; set the path that receives deliveries, such as `/github`"
        )
    whole = "/" + "/".join(part.strip("/") for part in (base_path, path) if part.strip("/"))
    parts = whole.split("/")
    if _PATH.fullmatch(whole) is None or "." in parts or ".." in parts:
        raise WebhookProblem(
            f"`path` {path!r} must consist of letters, digits and `_~:@+,=.-` between slashes"
        )
    return whole


def _method(raw: Mapping[str, object]) -> str:
    method = _text(raw, "method").upper() or "POST"
    if method not in METHODS:
        raise WebhookProblem(f"unknown method {method!r}{_hint(method, METHODS)}")
    return method


def _signature(
    raw: Mapping[str, object], method: str, *, require_signature: bool
) -> tuple[str, str]:
    """Return the kind of signature and the header that carries it."""
    kind = _text(raw, "signature").lower()
    header = _text(raw, "signature_header").lower()
    if header and _HEADER.fullmatch(header) is None:
        raise WebhookProblem(f"`signature_header` {header!r} must be a valid name of a header")
    if not kind:
        if not header:
            raise WebhookProblem(
                "`signature` is missing; set it to `github`, `linear`, `stripe` or `hmac-sha256`,"
                " and `secret` to `env:NAME`"
            )
        by_header = {HEADERS[each]: each for each in ("github", "linear", "stripe")}
        kind = by_header.get(header, "hmac-sha256")
    if kind not in SIGNATURES:
        raise WebhookProblem(f"unknown signature {kind!r}{_hint(kind, SIGNATURES)}")
    if kind == "none":
        if require_signature:
            raise WebhookProblem(
                "`signature: none` would accept events from anyone; use a signature, or set"
                " `webhooks.require_signature: false` in gateway.yaml"
            )
        if header or _text(raw, "secret"):
            raise WebhookProblem(
                "`signature: none` does not use a secret; remove `secret` and `signature_header`,"
                " or set the kind of signature"
            )
        return kind, ""
    if method == "GET" and kind != "hmac-sha256":
        raise WebhookProblem(
            f"`signature: {kind}` signs the body, which GET requests lack; use `method: POST`"
        )
    return kind, header or HEADERS[kind]


def _secret(
    raw: Mapping[str, object], signature: str, resolve: Callable[[str], str | None]
) -> tuple[str | None, str]:
    """Return the secret and its reference; errors never quote what may be a secret."""
    if signature == "none":
        return None, ""
    written = _text(raw, "secret")
    if not written:
        raise WebhookProblem(
            f"`signature: {signature}` needs a secret; set `secret: env:NAME` to the environment"
            " variable that holds it"
        )
    reference = _BRACED.sub(r"\1:\2", written) if _BRACED.fullmatch(written) else written
    if _REFERENCE.fullmatch(reference) is None:
        raise WebhookProblem(
            "`secret` must be a reference such as `env:NAME` or `keychain:NAME`; a file must not"
            " contain the secret itself"
        )
    secret = resolve(reference)
    if secret is None or not secret.strip():
        raise WebhookProblem(f"its secret {reference} is not set; set it and reload")
    return secret, reference


def _tolerance(raw: Mapping[str, object], signature: str) -> float:
    value = raw.get("tolerance")
    if value is None or value == "":
        return TOLERANCE
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WebhookProblem(f"`tolerance` must be a number of seconds, not {value!r}")
    timed = signature in ("linear", "stripe")
    if value < 0 or value > LONGEST_TOLERANCE or (timed and value == 0):
        raise WebhookProblem(
            f"`tolerance` must be above 0 and at most {LONGEST_TOLERANCE:.0f} seconds, not {value}"
        )
    return float(value)


def _notify(raw: Mapping[str, object]) -> bool:
    value = raw.get("notify")
    if value is None:
        return True
    if not isinstance(value, bool):
        raise WebhookProblem(f"`notify` must be true or false, not {value!r}")
    return value


def _transform(raw: Mapping[str, object]) -> tuple[Template | None, Mapping[str, object]]:
    transform = raw.get("transform")
    if transform is None:
        return None, {}
    if not isinstance(transform, Mapping):
        raise WebhookProblem("`transform` must be a map with `event_type` and `data`")
    _check_keys(transform, ("event_type", "data"), "transform.")
    written = _text(transform, "event_type")
    data = transform.get("data")
    if data is not None and not isinstance(data, Mapping):
        raise WebhookProblem("`transform.data` must be a map of keys to templates")
    for text in (written, data):
        problem = template_problem(text)
        if problem:
            raise WebhookProblem(f"`transform`: {problem}")
    event_type = Template.of(written) if written else None
    return event_type, dict(data or {})
