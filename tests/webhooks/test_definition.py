"""Endpoints as files define them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.config.yamlfile import parse
from mcpgw.webhooks.definition import _KEYS, Endpoint, WebhookProblem, endpoint
from mcpgw.webhooks.mapping import Template

from .making import SECRET, made


def problem(require_signature: bool = True, **raw: object) -> str:
    """Return why an endpoint is refused."""
    with pytest.raises(WebhookProblem) as caught:
        endpoint(
            "demo",
            "hook",
            raw,
            {"env:S": SECRET, "env:EMPTY": "", "env:BLANK": "  "}.get,
            base_path="/webhooks",
            require_signature=require_signature,
        )
    text = str(caught.value)
    assert text.startswith("webhook 'hook' of capability 'demo': ")
    assert SECRET not in text
    return text.removeprefix("webhook 'hook' of capability 'demo': ")


class TestWhole:
    """A whole definition."""

    def test_all_keys(self) -> None:
        """All settings of a file are in the endpoint."""
        assert Endpoint(
            capability="demo",
            name="hook",
            path="/webhooks/a/b",
            method="PUT",
            signature="stripe",
            secret=SECRET,
            secret_reference="env:S",
            signature_header="x-mine",
            tolerance=60.0,
            notify=False,
            event_type=Template.of("stripe.{type}"),
            data={"id": "{id}"},
        ) == made(
            path="a/b/",
            method="put",
            signature="Stripe",
            secret="{env.S}",
            signature_header="X-Mine",
            tolerance=60,
            notify=False,
            transform={"event_type": "stripe.{type}", "data": {"id": "{id}"}},
        )

    def test_unset_keys(self) -> None:
        """Keys that are empty or None are as if they were not there."""
        assert made() == made(
            method="", signature_header="", tolerance=None, notify=None, transform=None
        )
        assert made() == made(transform={}, tolerance="")

    def test_the_secret_is_not_shown(self) -> None:
        """The text form of an endpoint has the reference, and not the secret."""
        assert SECRET not in repr(made())
        assert "env:S" in repr(made())

    @pytest.mark.parametrize(
        ("base", "path"),
        [("/webhooks", "/x"), ("webhooks/", "x"), ("/webhooks/", "/x/")],
    )
    def test_slashes(self, base: str, path: str) -> None:
        """Slashes at the ends of base and path make no difference."""
        found = endpoint(
            "demo",
            "h",
            {"path": path, "signature": "none"},
            lambda _reference: None,
            base_path=base,
            require_signature=False,
        )
        assert "/webhooks/x" == found.path


BUILT_IN = Path(__file__).parents[2] / "capabilities"


def test_built_in_files() -> None:
    """The webhooks of the files that come with the gateway are sound, and on paths of their own."""
    paths = []
    for file in sorted(BUILT_IN.rglob("*.yaml")):
        text = file.read_text()
        if "\nwebhooks:" not in text:
            continue
        document = parse(text)
        assert isinstance(document, dict)
        for name, raw in document["webhooks"].items():
            found = endpoint(
                file.stem, name, raw, lambda _: SECRET, base_path="/w", require_signature=True
            )
            paths.append(found.path)
    assert "/w/linear/comments" in paths
    assert len(paths) == len(set(paths))


class TestSignature:
    """Detected kinds of signatures."""

    @pytest.mark.parametrize(
        ("header", "kind"),
        [
            ("X-Hub-Signature-256", "github"),
            ("linear-signature", "linear"),
            ("Stripe-Signature", "stripe"),
            ("X-Acme", "hmac-sha256"),
        ],
    )
    def test_by_header(self, header: str, kind: str) -> None:
        """Without a kind the header determines it."""
        found = made(signature="", signature_header=header)
        assert (kind, header.lower()) == (found.signature, found.signature_header)

    @pytest.mark.parametrize(
        ("kind", "header"),
        [
            ("github", "x-hub-signature-256"),
            ("linear", "linear-signature"),
            ("stripe", "stripe-signature"),
            ("hmac-sha256", "x-hub-signature-256"),
        ],
    )
    def test_header_by_kind(self, kind: str, header: str) -> None:
        """Without a header the default of the kind is used."""
        assert header == made(signature=kind).signature_header

    def test_none_needs_both(self) -> None:
        """An open endpoint needs the word of the file, and of the operator."""
        assert "require_signature: false" in problem(path="/x", signature="none")
        found = made(signature="none", require_signature=False)
        assert ("none", None) == (found.signature, found.secret)

    @pytest.mark.parametrize("require", [True, False])
    def test_nothing_said(self, require: bool) -> None:
        """A file that says nothing of a signature is refused, whatever the operator says."""
        assert "`signature` is missing" in problem(require, path="/x")
        assert "`signature` is missing" in problem(require, path="/x", secret="env:S")

    def test_none_with_a_secret(self) -> None:
        """A secret that would not be looked at is a mistake."""
        text = problem(False, path="/x", signature="none", secret="env:S")
        assert "does not use a secret" in text

    def test_get(self) -> None:
        """A GET request has no body that these signatures could cover."""
        assert "GET requests lack" in problem(
            path="/x", signature="github", secret="env:S", method="GET"
        )


class TestSecret:
    """The secret of an endpoint."""

    @pytest.mark.parametrize("name", ["MISSING", "EMPTY", "BLANK"])
    @pytest.mark.parametrize("form", ["env:{}", "{{env.{}}}"])
    def test_not_set(self, name: str, form: str) -> None:
        """An endpoint whose secret is not set, or empty, is not opened."""
        text = problem(path="/x", signature="github", secret=form.format(name))
        assert f"its secret env:{name} is not set; set it and reload" == text

    def test_written_out(self) -> None:
        """A secret in the file itself is refused, and not quoted."""
        text = problem(path="/x", signature="github", secret=SECRET)
        assert "must not contain the secret itself" in text

    def test_missing(self) -> None:
        """A kind of signature without a secret is refused."""
        assert "needs a secret" in problem(path="/x", signature="linear")


class TestProblems:
    """Other refusals."""

    @pytest.mark.parametrize(
        ("raw", "words"),
        [
            ({}, "`path` is missing"),
            ({"path": "/"}, "`path` is missing"),
            ({"path": 5}, "`path` must be a string, not int"),
            ({"path": "/a b"}, "must consist of letters, digits"),
            ({"path": "/a/../b"}, "must consist of letters, digits"),
            ({"path": "/a?b"}, "must consist of letters, digits"),
            ({"path": "/a//b"}, "must consist of letters, digits"),
            ({"path": "/{x}"}, "must consist of letters, digits"),
            ({"method": "POTS"}, "did you mean `POST`?"),
            ({"method": "BREW"}, "known: POST, GET, PUT, PATCH, DELETE"),
            ({"signature": "githib"}, "did you mean `github`?"),
            ({"signature_header": "a b"}, "must be a valid name of a header"),
            ({"tolerance": -1}, "at most 86400 seconds, not -1"),
            ({"tolerance": True}, "must be a number of seconds, not True"),
            ({"tolerance": float("nan")}, "must be a number of seconds, not nan"),
            ({"tolerance": 1e9}, "at most 86400"),
            ({"tolerance": 0, "signature": "stripe"}, "above 0"),
            ({"notify": "yes"}, "`notify` must be true or false"),
            ({"transform": "x"}, "`transform` must be a map"),
            ({"transform": {"evnt_type": "x"}}, "did you mean `event_type`?"),
            ({"transform": {"data": ["x"]}}, "`transform.data` must be a map"),
            ({"transform": {"data": {"a": "{header.Authorization}"}}}, "may hold a credential"),
            ({"transform": {"event_type": "{header.x-gitlab-token}"}}, "may hold a credential"),
            ({"secrte": "x"}, "unknown key `secrte`; did you mean `secret`?"),
        ],
    )
    def test_refused(self, raw: dict[str, object], words: str) -> None:
        """The message says what is wrong."""
        good: dict[str, object] = {"path": "/x", "signature": "github", "secret": "env:S"}
        given = good | raw if raw else {"signature": "github", "secret": "env:S"}
        assert words in problem(**given)

    @given(
        st.dictionaries(
            st.sampled_from([*_KEYS, "x"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=10), inner, max_size=3)
                ),
                max_leaves=6,
            ),
        )
    )
    def test_anything(self, raw: dict[str, object]) -> None:
        """Whatever a file says, it is an endpoint with a secret or a problem told in words."""
        try:
            found = endpoint(
                "c", "n", raw, lambda _: SECRET, base_path="/w", require_signature=True
            )
            outcome = (found.secret == SECRET, found.path.startswith("/w/"))
        except WebhookProblem as told:
            outcome = (SECRET not in str(told), str(told).startswith("webhook 'n' of"))
        assert (True, True) == outcome
