"""Splitting of names and prose into words, and of words into stems."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcpgw.catalog.stems import stem
from mcpgw.text.words import identifier_parts, joined_key, prose_tokens, token_words


def prose_words(text: str) -> list[str]:
    """Return the words of a text as the index cuts them."""
    return [word for token in prose_tokens(text) for word in token_words(token)]


@pytest.mark.parametrize(
    "name", ["getHTTPResponse", "get_http_response", "get-http.response", "GET/HTTP:Response"]
)
def test_all_spellings_of_an_identifier_have_the_same_words(name: str) -> None:
    """Separators and capitals split words alike."""
    assert ["get", "http", "response"] == identifier_parts(name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("s3Upload", ["s3", "upload"]),
        ("uploadS3Object", ["upload", "s3", "object"]),
        ("k8s_pods", ["k8s", "pods"]),
        ("mp3ToWav", ["mp3", "to", "wav"]),
        ("convertPDF2Word", ["convert", "pdf", "2", "word"]),
        ("md2pdf", ["md", "2", "pdf"]),
        ("base64_encode", ["base", "64", "encode"]),
        ("getUserIDs", ["get", "user", "ids"]),
        ("tool_123", ["tool", "123"]),
        ("render3dModel", ["render", "3", "d", "model"]),
        ("3d_print", ["3d", "print"]),
        ("getÜberblick", ["get", "überblick"]),
        ("查询天气", ["查询", "询天", "天气"]),
        ("get_天气", ["get", "天气"]),
        ("", []),
        ("___", []),
    ],
)
def test_identifiers_part_at_case_digits_and_scripts(name: str, parts: list[str]) -> None:
    """Each boundary that a reader sees parts words; short words keep their digits."""
    assert parts == identifier_parts(name)


def test_a_long_word_with_digits_is_also_kept_joined() -> None:
    """`base64` is found by its word, as it is written, and as part of the whole."""
    assert ("base64encode", "base", "encode", "base64") == token_words("base64Encode")


def test_prose_loses_stop_words_and_numbers_and_keeps_brand_names_whole() -> None:
    """Only words that can tell tools apart remain of a sentence."""
    found = prose_words("Use getUser or the GitHub API in 2024, and MongoDB's.")
    assert ["use", "getuser", "get", "user", "github", "api", "mongodb"] == found


def test_prose_keeps_words_of_other_scripts() -> None:
    """Accents and vowel signs stay on their word; unspaced scripts become pairs."""
    assert ["résumé", "हिन्दी", "必应", "应搜", "搜索", "bing"] == prose_words(
        "Résumé हिन्दी 必应搜索 bing"
    )


@pytest.mark.parametrize("word", ["class", "bing", "news", "string", "status", "bus", "red", "is"])
def test_words_that_only_look_inflected_stay_whole(word: str) -> None:
    """A short word or one that ends like a plural by nature is its own stem."""
    assert word == stem(word)


@pytest.mark.parametrize(
    "family",
    [
        "create creates created creating",
        "file files filed filing",
        "class classes",
        "query queries queried querying",
        "search searches searched searching",
        "run runs running",
        "call calls called calling",
        "add adds added adding",
        "embed embeds embedded embedding",
        "schedule schedules scheduled scheduling",
        "price prices priced pricing",
        "analysis analyses analyse analyze analyzing",
        "use uses used using",
        "complete completely",
        "company companies",
    ],
)
def test_related_forms_meet_at_one_stem(family: str) -> None:
    """Whichever form the tool or the query uses, they meet."""
    assert 1 == len({stem(word) for word in family.split()})


def test_accents_do_not_part_words() -> None:
    """A query typed without accents finds the word with them."""
    assert "resume" == stem("résumé")


@given(st.text(max_size=60))
def test_any_text_can_be_cut(text: str) -> None:
    """No text raises, and no word is empty or has capitals left."""
    for word in [*identifier_parts(text), *prose_words(text)]:
        assert word
        assert stem(word)
        assert not any("A" <= letter <= "Z" for letter in word)


@given(st.from_regex(r"[a-z]{1,14}", fullmatch=True))
@example("sses")
@example("axes")
def test_a_stem_keeps_short_words_and_never_vanishes(word: str) -> None:
    """Words of up to three letters are whole; longer ones keep at least three."""
    if len(word) <= 3:
        assert word == stem(word)
    else:
        assert len(stem(word)) >= 3


def test_joined_keys_ignore_case_and_separators() -> None:
    """All spellings share one key; a name without letters is its own."""
    assert {"readfile"} == {joined_key(name) for name in ("read_file", "readFile", "Read File")}
    assert "?!" == joined_key(" ?! ")
