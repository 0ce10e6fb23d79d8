"""Tokens that are recognised by their format alone, and texts that only look similar.

The tokens are put together here: no text of this file has the format of a token.
"""

from __future__ import annotations

import base64
import hashlib
import random
import string
import uuid

import pytest

from mcpgw.observe.redact import redact

HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits

# The prefix in two parts, the characters that follow, how many, and what stands after them.
FORMATS: tuple[tuple[str, str, str, int, str], ...] = (
    *((("gh", f"{kind}_", ALNUM, 36, "")) for kind in "pousr"),
    ("github", "_pat_", ALNUM, 82, ""),
    *((("gl", f"{kind}-", ALNUM, 20, "")) for kind in ("pat", "dt", "rt", "ptt", "ft", "cbt")),
    ("GR13", "48941", ALNUM, 20, ""),
    ("xo", "xb-", string.digits, 24, ""),
    ("xo", "xe.xoxp-1-", ALNUM, 40, ""),
    ("xa", "pp-1-", ALNUM, 40, ""),
    *((("s", f"k_{kind}_", ALNUM, 24, "")) for kind in ("live", "test")),
    ("rk", "_live_", ALNUM, 24, ""),
    ("whs", "ec_", ALNUM, 32, ""),
    ("s", "k-proj-", ALNUM + "0", 48, "9"),
    ("s", "k-ant-api03-", ALNUM, 90, "AA"),
    ("gs", "k_", ALNUM, 52, ""),
    ("xa", "i-", ALNUM, 80, ""),
    ("ppl", "x-", ALNUM, 48, ""),
    ("h", "f_", string.ascii_letters, 34, ""),
    ("r", "8_", ALNUM, 37, ""),
    ("nva", "pi-", ALNUM, 60, ""),
    ("AK", "IA", UPPER, 16, ""),
    ("AS", "IA", UPPER, 16, ""),
    ("AB", "SK", ALNUM, 109, "="),
    ("AI", "za", ALNUM, 35, ""),
    ("ya", "29.", ALNUM, 60, ""),
    ("GOC", "SPX-", ALNUM, 28, ""),
    ("1/", "/0", ALNUM, 40, ""),
    ("a1b", "8Q~", ALNUM, 34, ""),
    ("np", "m_", ALNUM, 36, ""),
    ("py", "pi-AgEIcHlwaS5vcmc", ALNUM, 60, ""),
    ("ruby", "gems_", HEX, 48, ""),
    ("dckr", "_pat_", ALNUM, 27, ""),
    *((("do", f"{kind}_v1_", HEX, 64, "")) for kind in "por"),
    ("HR", "KU-", ALNUM, 36, ""),
    ("Fly", "V1 fm2_", ALNUM, 80, ""),
    ("rn", "d_", ALNUM, 32, ""),
    ("sb", "p_", HEX, 40, ""),
    *((("sh", f"{kind}_", HEX, 32, "")) for kind in ("pat", "pca", "ppa", "pss")),
    *((("sn", f"try{kind}_", ALNUM, 64, "")) for kind in "su"),
    ("gl", "sa_", ALNUM, 32, "_0a1b2c3d"),
    ("gl", "c_", ALNUM, 60, ""),
    ("hv", "s.", ALNUM, 90, ""),
    ("dp", ".pt.", ALNUM, 43, ""),
    ("AGE-SECRET", "-KEY-1", UPPER, 58, ""),
    ("ts", "key-auth-", ALNUM, 30, ""),
    ("da", "pi", HEX, 32, ""),
    ("psc", "ale_tkn_", ALNUM, 43, ""),
    ("1234", "56789:A", ALNUM, 34, ""),
    ("S", "G.", ALNUM, 22, "." + "x" * 43),
    ("ke", "y-", HEX, 32, ""),
    ("S", "K", HEX, 32, ""),
    ("lin", "_api_", ALNUM, 40, ""),
    ("fi", "gd_", ALNUM, 43, ""),
    ("nt", "n_", ALNUM, 46, ""),
    ("sec", "ret_", ALNUM, 42, "7"),
    ("ATA", "TT3xFfGF0", ALNUM, 180, "=1A2B3C4D"),
    ("AT", "BB", ALNUM, 32, ""),
    ("NR", "AK-", UPPER, 27, ""),
    ("pu", "l-", HEX, 40, ""),
    ("tv", "ly-", ALNUM, 32, ""),
    ("f", "c-", HEX, 32, ""),
    ("ctx", "7sk-", ALNUM, 36, ""),
    ("s", "k_", HEX, 48, ""),
    ("PM", "AK-", HEX, 24, "-" + HEX + HEX + "01"),
    ("apify", "_api_", ALNUM, 36, ""),
    ("acc", "ess-production-", "", 0, "123e4567-e89b-12d3-a456-426614174000"),
    ("pat", "-na1-", "", 0, "123e4567-e89b-12d3-a456-426614174000"),
    ("ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx", ALNUM, 20, ".c2lnbmF0dXJl"),
)
PLACES = ("{}", "the token {} was refused", '["{}"]', "({})", "a={}&b=1", "line\n{}\nline", "<{}>")


def token_of(entry: tuple[str, str, str, int, str]) -> str:
    """Return a made-up token of a format."""
    first, second, letters, count, end = entry
    chance = random.Random(first + second)
    return first + second + "".join(chance.choice(letters) for _ in range(count)) + end


@pytest.mark.parametrize("entry", FORMATS, ids=lambda entry: entry[0] + entry[1])
@pytest.mark.parametrize("place", PLACES)
def test_a_token_alone(entry: tuple[str, str, str, int, str], place: str) -> None:
    """A token is redacted whole wherever it stands, and the text around it stays."""
    token = token_of(entry)
    shown = redact(place.format(token))
    assert token[8:] not in shown
    assert place.format("[redacted]") == shown or place.startswith("a=")


@pytest.mark.parametrize(
    ("before", "secret"),
    [
        ("https://hooks.slack.com/ser" + "vices/", "T0123ABCD/B0123ABCD/abcdefghijklmnop"),
        ("https://discord.com/api/web" + "hooks/", "123456789012345678/abc-def_ghijklmnop"),
        ("https://acme.webhook.office.com/webhookb2/", "123e4567@123e4567/IncomingWebhook/1a2b"),
        ("https://api.telegram.org/bot", "12345678:abcdefghijklmnopqrstuvwxyz"),
        ("https://x.blob.core.windows.net/c/b?sv=2024&sig=", "a%2Bb3c4d5e6f7g8%3D"),
        ("https://b.s3.amazonaws.com/k?X-Amz-Signature=", "0123456789abcdef"),
        ("https://maps.example/api?key=", "a1b2c3d4e5f6"),
        ("Cookie: ", "session=abc123; other=2"),
        ("Set-Cookie: ", "sid=abc123; Path=/; HttpOnly"),
        ("Server=db;pwd=", "hunter2"),
        ("DB_PASS=", "hunter2"),
        ("AccountKey=", "abc123+def/456=="),
        ("proxy-authorization: Basic ", "dXNlcjpwYXNz"),
    ],
)
def test_secret_parts(before: str, secret: str) -> None:
    """Of URLs, cookies and assignments only the secret part is redacted."""
    assert f"{before}[redacted]" == redact(f"{before}{secret}")


@pytest.mark.parametrize(
    "text",
    [
        "commit " + hashlib.sha1(b"1").hexdigest(),
        "sha256:" + hashlib.sha256(b"1").hexdigest(),
        "integrity sha512-" + base64.b64encode(hashlib.sha512(b"1").digest()).decode(),
        f"id {uuid.uuid5(uuid.NAMESPACE_URL, 'a')} and {uuid.uuid5(uuid.NAMESPACE_URL, 'b').hex}",
        "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 8).decode(),
        "a key-value store, a primary-key, key-bindings and secret_santa_list of hidden_secrets",
        "the npm_config_registry, pypi-server, sk-learn, hf_hub, gh_pages, fc-cache, re_match",
        "at 12:30:45 A new day; ratio 1:2; 10.0.0.1:8080; C:\\Users\\me; PWD=/home/me pwd: ~/x",
        "3 passed, pass: 12, PASS=3, fail=0; sort_key=name; next_token: null; cookies: enabled",
        "token_usage: 523, token_budget=10000, secret_manager: aws, secret_id: 17, keyboard=de",
        "https://example.org/search?q=key&keyword=value&signal=7&codec=av1 and ?key=abc",
        "SKU0123456789 STRIPE whsec pk live EAAA SG.com API-first AKIA hvs. dp.pt tskey-",
        "pat.example.com, s.length, sl.no, dapibus, access-control, access_token",
        "Traceback (most recent call last): File x.py, line 3, in get_token; KeyError: 'token'",
    ],
)
def test_ordinary_texts(text: str) -> None:
    """Hashes, ids, images and words that begin like a token stay as they are."""
    assert text == redact(text)
