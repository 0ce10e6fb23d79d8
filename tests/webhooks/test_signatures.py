"""Signatures of deliveries."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcpgw.webhooks.definition import Endpoint
from mcpgw.webhooks.signatures import stripe_parts, verify, verify_time

from .making import NOW, SECRET, digest, made

BODY = b'{"a": 1}'
GITHUB = made()
LINEAR = made(signature="linear", tolerance=60)
STRIPE = made(signature="stripe")
PLAIN = made(signature="hmac-sha256", signature_header="X-Sign")
OTHER = "the signature does not match"


class TestKnown:
    """Values from elsewhere."""

    def test_github(self) -> None:
        """The example of GitHub's documentation is verified."""
        endpoint = made()
        object.__setattr__(endpoint, "secret", "It's a Secret to Everybody")
        value = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        headers = {"x-hub-signature-256": f"sha256={value}"}
        assert verify(endpoint, headers, b"Hello, World!", NOW) is None


class TestOverBody:
    """GitHub, Linear and the plain kind: a digest of the body."""

    @pytest.mark.parametrize(
        ("endpoint", "form"),
        [
            (GITHUB, "sha256={}"),
            (GITHUB, " sha256={} "),
            (LINEAR, "{}"),
            (PLAIN, "{}"),
            (PLAIN, "sha256={}"),
        ],
    )
    def test_right(self, endpoint: Endpoint, form: str) -> None:
        """A right digest is accepted, in letters of either case."""
        name = endpoint.signature_header
        for value in (digest(BODY), digest(BODY).upper()):
            assert verify(endpoint, {name: form.format(value)}, BODY, NOW) is None

    @pytest.mark.parametrize("endpoint", [GITHUB, LINEAR, PLAIN])
    def test_other_body_or_secret(self, endpoint: Endpoint) -> None:
        """A changed body, and another secret, even an empty one, are refused."""
        name, prefix = endpoint.signature_header, "sha256=" if endpoint is GITHUB else ""
        assert OTHER == verify(endpoint, {name: prefix + digest(BODY)}, BODY + b" ", NOW)
        for secret in ("", "x", SECRET + " "):
            assert OTHER == verify(endpoint, {name: prefix + digest(BODY, secret)}, BODY, NOW)

    @pytest.mark.parametrize(
        ("endpoint", "value"),
        [
            (GITHUB, digest(BODY)),
            (GITHUB, f"sha1={digest(BODY)}"),
            (GITHUB, f"sha256={digest(BODY)}, sha256={digest(BODY)}"),
            (GITHUB, f"sha256={digest(BODY)[:-1]}"),
            (GITHUB, f"sha256={digest(BODY)}\n"),
            (GITHUB, "sha256="),
            (LINEAR, f"sha256={digest(BODY)}"),
            (LINEAR, ""),
            (PLAIN, digest(BODY)[:-1] + "٣"),
            (PLAIN, "x" * 100_000),
        ],
    )
    def test_malformed(self, endpoint: Endpoint, value: str) -> None:
        """A header that is not exactly of its form is refused."""
        name = endpoint.signature_header
        assert f"{name} is malformed" == verify(endpoint, {name: value}, BODY, NOW)

    def test_no_header(self) -> None:
        """A request without the header is refused."""
        assert "the header x-sign is missing" == verify(PLAIN, {}, BODY, NOW)

    def test_no_secret(self) -> None:
        """An endpoint that was made without a secret refuses even what an empty one signed."""
        endpoint = made()
        for secret in (None, ""):
            object.__setattr__(endpoint, "secret", secret)
            headers = {"x-hub-signature-256": f"sha256={digest(BODY, '')}"}
            assert "the endpoint has no secret" == verify(endpoint, headers, BODY, NOW)

    def test_none(self) -> None:
        """An open endpoint asks for nothing."""
        assert verify(made(signature="none"), {}, BODY, NOW) is None


class TestStripe:
    """`t=...,v1=...` over time and body."""

    @staticmethod
    def check(header: str, now: float = NOW) -> str | None:
        """Verify a header."""
        return verify(STRIPE, {"stripe-signature": header}, BODY, now)

    def signed(self, time: float = NOW, secret: str = SECRET) -> str:
        """Return the digest."""
        return digest(f"{time:.0f}.".encode() + BODY, secret)

    def test_right(self) -> None:
        """One right signature among several is enough, as when a secret is being replaced."""
        right, other = self.signed(), self.signed(secret="old")
        for header in (
            f"t={NOW:.0f},v1={right}",
            f"t={NOW:.0f}, v1={other}, v1={right}, v0=x",
            f"v1={right},v1={other},t={NOW:.0f}",
        ):
            assert self.check(header) is None

    def test_other(self) -> None:
        """The signature covers the time, and only scheme v1 counts."""
        assert OTHER == self.check(f"t={NOW + 1:.0f},v1={self.signed()}")
        assert OTHER == self.check(f"t={NOW:.0f},v1={'0' * 64},v0={self.signed()}")
        assert OTHER == self.check(f"t=0{NOW:.0f},v1={self.signed()}")

    @pytest.mark.parametrize(
        ("off", "fine"), [(300, True), (-300, True), (301, False), (-301, False)]
    )
    def test_time(self, off: int, fine: bool) -> None:
        """The signed time may be off by the tolerance, on either side."""
        told = self.check(f"t={NOW:.0f},v1={self.signed()}", NOW + off)
        assert (None if fine else "the signed time is too far from now") == told

    @pytest.mark.parametrize(
        "header",
        [
            "",
            ",",
            "t=1",
            f"v1={'0' * 64}",
            f"t=,v1={'0' * 64}",
            f"t=1.5,v1={'0' * 64}",
            f"t=-1,v1={'0' * 64}",
            f"t=٣,v1={'0' * 64}",
            f"t=1,t=1,v1={'0' * 64}",
            f"t=1,v1={'0' * 63}",
            f"t=1;v1={'0' * 64}",
            f"t=1,v1={'0' * 64},nonsense",
            f"t=1{f',v1={chr(48) * 64}' * 17}",
            f"t={'9' * 5000},v1={'0' * 64}",
        ],
    )
    def test_malformed(self, header: str) -> None:
        """A header without a time and a signature is refused, and so is one with two times."""
        assert "stripe-signature is malformed" == self.check(header)


class TestLinearTime:
    """The time in Linear's payload."""

    @pytest.mark.parametrize(
        ("payload", "fine"),
        [
            ({"webhookTimestamp": NOW * 1000}, True),
            ({"webhookTimestamp": int(NOW * 1000) - 60_000}, True),
            ({"webhookTimestamp": int(NOW * 1000) - 60_001}, False),
            ({"webhookTimestamp": int(NOW * 1000) + 60_001}, False),
            ({"webhookTimestamp": NOW}, False),
            ({"webhookTimestamp": str(NOW * 1000)}, False),
            ({"webhookTimestamp": True}, False),
            ({"webhookTimestamp": float("nan")}, False),
            ({"webhookTimestamp": 10**4000}, False),
            ({}, False),
            ([], False),
            (None, False),
        ],
    )
    def test_time(self, payload: object, fine: bool) -> None:
        """It has to be there, in milliseconds, and near now."""
        assert fine == (verify_time(LINEAR, payload, NOW) is None)

    def test_others(self) -> None:
        """Other services have no time in the payload."""
        assert verify_time(GITHUB, {}, NOW) is None


HEADER = st.text(max_size=200) | st.text("tv10=,9af ", max_size=200)


@given(HEADER, st.binary(max_size=50), st.sampled_from([GITHUB, LINEAR, STRIPE, PLAIN]))
@example("t=9,v1=" + "0" * 64, b"", STRIPE)
def test_any_header(header: str, body: bytes, endpoint: Endpoint) -> None:
    """An invalid header is refused with a reason that does not quote it."""
    reason = verify(endpoint, {endpoint.signature_header: header}, body, NOW)
    assert reason in {
        OTHER,
        f"{endpoint.signature_header} is malformed",
    }


@given(
    st.integers(0, 10**12 - 1),
    st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=8),
    st.lists(st.sampled_from(["v0=abc", "v2=", "x=y=z"]), max_size=4),
    st.randoms(use_true_random=False),
)
def test_stripe_round_trip(time: int, digests: list[bytes], others: list[str], random) -> None:  # type: ignore[no-untyped-def]
    """Time and signatures are found in any order, among schemes that are not known."""
    items = [f"v1={each.hex()}" for each in digests]
    mixed = [f"t={time}", *items, *others]
    random.shuffle(mixed)
    found = stripe_parts(",".join(mixed))
    assert found is not None
    assert (str(time), sorted(digests)) == (found[0], sorted(found[1]))
