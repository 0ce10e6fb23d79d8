"""Classification of error results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.pipeline.call import Recovery
from mcpgw.pipeline.error_classifier import (
    LONGEST_READ,
    classify,
    is_backend_fault,
    recovery_object,
)

RATE, LATE, FAULT = Recovery.RATE_LIMITED, Recovery.BACKEND_TIMEOUT, Recovery.BACKEND_ERROR
WRONG, REFUSED = Recovery.INVALID_PARAM, Recovery.NOT_AUTHORIZED


def error(text: str, **more: Any) -> Mapping[str, Any]:
    return {"isError": True, "content": [{"type": "text", "text": text}], **more}


class TestClassify:
    @pytest.mark.parametrize(
        ("text", "recovery", "status"),
        [
            ("HTTP 429", RATE, 429),
            ("HTTP/1.1 503", FAULT, 503),
            ("HTTP error 404: no such page", WRONG, 404),
            ("Request failed with status code 422", WRONG, 422),
            ("status code: 503", FAULT, 503),
            ("Error (statusCode=504)", LATE, 504),
            ('{"status": 503, "cut', FAULT, 503),
            ("Client error '403 Forbidden' for url 'https://api.example'", REFUSED, 403),
            ("429 Too Many Requests", RATE, 429),
            ("upstream said 502 Bad Gateway", FAULT, 502),
            ("500 Internal Server Error", FAULT, 500),
            ("error 529: overloaded", FAULT, 529),
            ("HTTP status 524", LATE, 524),
            ("HTTP 200 at first, then HTTP 401.", REFUSED, 401),
        ],
    )
    def test_a_status_in_the_text(self, text: str, recovery: Recovery, status: int) -> None:
        """A number counts as a status if the words around it indicate one."""
        assert (recovery, status) == classify(error(text))

    @pytest.mark.parametrize(
        ("text", "recovery"),
        [
            ("Rate limit exceeded, try again in 20 s", RATE),
            ("openai.RateLimitError: slow down", RATE),
            ("You have reached your API rate limit", RATE),
            ("ThrottlingException: ...", RATE),
            ("The request timed out after 30 s", LATE),
            ("httpx.ReadTimeout", LATE),
            ("context deadline exceeded", LATE),
            ("Connection timeout", LATE),
            ("Service temporarily unavailable", FAULT),
            ("connect ECONNREFUSED 127.0.0.1:5432", FAULT),
        ],
    )
    def test_words_without_a_status(self, text: str, recovery: Recovery) -> None:
        """Common words give the kind of failure if there is no number."""
        assert (recovery, None) == classify(error(text))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "found 500 items",
            "port 5008 is closed",
            "no record with id 408123",
            "HTTP 4290",
            "status: 500ms",
            "line 404 not parsed",
            "the file has 503 lines",
            "version 4.29.503",
            "timeout must be a number",
            "request timeout must be positive",
            "the rate limit must be between 1 and 100",
            "no such file: notes/429.txt",
            "HTTP 200",
            "HTTP 409",
        ],
    )
    def test_no_signal(self, text: str) -> None:
        """Numbers and words that only look like a status are left alone."""
        assert classify(error(text)) is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"structuredContent": {"status": 429}},
            {"structuredContent": {"statusCode": "429"}},
            {"structuredContent": {"error": {"code": 429}}},
            {"structuredContent": {"error": {"error": {"httpStatus": 429}}}},
            {"structuredContent": {"status": 200, "error": {"status_code": 429}}},
            {"structuredContent": {"status": True, "code": 429}},
            {"_meta": {"http_status": 429}},
            {"structuredContent": [], "_meta": {"status": 429}},
        ],
    )
    def test_a_status_in_the_data(self, fields: dict[str, Any]) -> None:
        """A numeric status in the structured content or `_meta` is found, also in its error."""
        assert (RATE, 429) == classify(error("no", **fields))

    @pytest.mark.parametrize("value", [{"code": 503}, [{"error": {"status": 503}}]])
    def test_a_status_in_a_text_that_is_json(self, value: object) -> None:
        """A text that is JSON is read like structured content."""
        assert (FAULT, 503) == classify(error(json.dumps(value)))

    def test_data_counts_before_words(self) -> None:
        """A status in the data takes precedence over the text."""
        result = error("HTTP 503, timed out", structuredContent={"status": 401})
        assert (REFUSED, 401) == classify(result)

    @pytest.mark.parametrize(
        "fields",
        [
            {"structuredContent": {"code": -32602}},
            {"structuredContent": {"status": 99, "code": 600}},
            {"structuredContent": {"count": 429}},
            {"structuredContent": {"status": "running"}},
            {"structuredContent": {"status": 429.5}},
        ],
    )
    def test_other_numbers_in_the_data(self, fields: dict[str, Any]) -> None:
        """Codes that are not HTTP statuses are ignored."""
        assert classify(error("no", **fields)) is None

    def test_only_the_beginning_is_read(self) -> None:
        """Text after the first 2,000 characters and later blocks are ignored."""
        late = error("x " * (LONGEST_READ // 2) + " HTTP 503")
        second = {"content": [{"type": "text", "text": "no"}, {"type": "text", "text": "HTTP 503"}]}
        assert (None, None) == (classify(late), classify(second))

    def test_an_image_before_the_text(self) -> None:
        """The first text is read, not the first block."""
        blocks = [{"type": "image", "data": ""}, {"type": "text", "text": "HTTP 503"}]
        assert (FAULT, 503) == classify({"isError": True, "content": blocks})

    @given(
        st.dictionaries(
            st.sampled_from(["content", "structuredContent", "_meta", "error", "status", "code"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: (
                    st.lists(inner)
                    | st.dictionaries(
                        st.sampled_from(["text", "type", "error", "status", "code"]), inner
                    )
                ),
            ),
        )
    )
    def test_any_shape(self, result: dict[str, Any]) -> None:
        """Whatever a backend answers, there is a verdict of the right form or none."""
        verdict = classify(result)
        assert verdict is None or (
            verdict[0] in Recovery and verdict[1] in {None, *range(400, 600)}
        )


class TestIsBackendFault:
    def test_every_kind(self) -> None:
        """Only a backend's own errors and its silence count against it."""
        assert {FAULT, LATE} == {each for each in Recovery if is_backend_fault(each)}

    def test_no_kind(self) -> None:
        """An error without a recognised cause does not count."""
        assert not is_backend_fault(None)


class TestRecoveryObject:
    def test_the_shape(self) -> None:
        """The object has the fields that programs need, and related names only if there are any."""
        assert {
            "error_code": "RATE_LIMITED",
            "message": "no",
            "suggest": RATE.meaning,
            "retry": True,
        } == recovery_object(RATE, "no")

    def test_related_names(self) -> None:
        """Names that may have been meant are listed, and a given suggestion is kept."""
        assert {
            "error_code": "TOOL_NOT_FOUND",
            "message": "no",
            "suggest": "use one",
            "retry": False,
            "related_tools": ["one"],
        } == recovery_object(Recovery.TOOL_NOT_FOUND, "no", "use one", related=("one",))

    @pytest.mark.parametrize("status", [404, 410])
    def test_a_thing_that_does_not_exist(self, status: int) -> None:
        """The suggestion is to look for what is there, not to correct the form."""
        assert "does not exist" in recovery_object(WRONG, "no", status=status)["suggest"]

    def test_refused_credentials(self) -> None:
        """A call that the server refuses is a matter for the person, not for another try."""
        assert not recovery_object(REFUSED, "no", status=401)["retry"]
