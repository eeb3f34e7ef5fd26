"""Bodies are parted into events by content type and, for plain JSON, by the first byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import problems
from services.ingest import body

CLICK = b'{"type":"click"}'


def refused(content: bytes, media: str = body.JSON, max_events: int = 10) -> problems.Problem:
    with pytest.raises(problems.Refused) as refusal:
        body.split(content, media, max_events=max_events)
    return refusal.value.problem


@pytest.mark.parametrize(
    ("content", "media", "texts", "batch"),
    [
        (CLICK, body.JSON, [CLICK], False),
        (b"\xef\xbb\xbf" + CLICK, body.JSON, [CLICK], False),
        (b"[" + CLICK + b", 1,\n" + CLICK + b"]", body.JSON, [CLICK, b"1", CLICK], True),
        (b"\xef\xbb\xbf \r\n\t[" + CLICK + b"]", body.JSON, [CLICK], True),
        (b"[" + CLICK + b"]", body.CLOUD_EVENTS, [CLICK], True),
        (CLICK, body.CLOUD_EVENT, [CLICK], False),
        (CLICK, body.NDJSON, [CLICK], True),
        (CLICK + b"\n" + CLICK + b"\n", body.NDJSON, [CLICK, CLICK], True),
        (b"\xef\xbb\xbf\r\n" + CLICK + b"\r\n\r\n  \nnonsense", body.NDJSON, [CLICK, b"nonsense"], True),
    ],
)
def test_parts_a_body(content: bytes, media: str, texts: list[bytes], batch: bool) -> None:
    posted = body.split(content, media, max_events=10)
    assert (posted.texts, posted.batch) == (texts, batch)
    assert posted.cloud_events == ("cloudevents" in media)


@pytest.mark.parametrize("content", [b"", b" \n ", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("media", [body.JSON, body.CLOUD_EVENT, body.NDJSON])
def test_a_body_without_an_event_is_refused(content: bytes, media: str) -> None:
    assert refused(content, media) is problems.EMPTY_BODY


def test_an_empty_array_is_refused() -> None:
    assert refused(b"[ ]") is problems.EMPTY_BODY


@pytest.mark.parametrize("content", [b"[", b"[1,]", b"[1]]", b"[NaN]", b'["\\ud800"]', b"[1] [2]"])
def test_an_array_that_is_no_json_is_refused_as_a_whole(content: bytes) -> None:
    assert refused(content) is problems.MALFORMED_BODY


def test_a_declared_batch_is_an_array() -> None:
    assert refused(CLICK, body.CLOUD_EVENTS) is problems.MALFORMED_BODY


def test_deep_nesting_is_refused_before_it_does_harm() -> None:
    assert refused(b"[" * 100_000) is problems.TOO_DEEP
    assert refused(b'[{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}]") is problems.TOO_DEEP


@pytest.mark.parametrize(
    ("content", "media"),
    [(b"[1,1,1]", body.JSON), (b"1\n1\n\n1\n", body.NDJSON), (b"[" + b"0," * 1000 + b"0]", body.JSON)],
)
def test_more_events_than_allowed_are_refused(content: bytes, media: str) -> None:
    assert refused(content, media, max_events=2) is problems.TOO_MANY_EVENTS


def test_as_many_events_as_allowed_are_taken() -> None:
    assert len(body.split(b"[1,1]", body.JSON, max_events=2).texts) == 2
    assert len(body.split(b"1\n\n1\n\n", body.NDJSON, max_events=2).texts) == 2


@pytest.mark.parametrize(
    ("header", "media"),
    [
        (None, body.JSON),
        ("", body.JSON),
        ("application/json", body.JSON),
        ("Application/JSON; charset=UTF-8", body.JSON),
        ("application/cloudevents+json; charset=utf-8", body.CLOUD_EVENT),
        ("application/cloudevents-batch+json", body.CLOUD_EVENTS),
        ("application/x-ndjson", body.NDJSON),
    ],
)
def test_knows_its_content_types(header: str | None, media: str) -> None:
    assert body.media_type(header) == media


@pytest.mark.parametrize(
    "header", ["text/plain", "application/xml", "nonsense", ";", "application/json; charset=utf-16", "*/*"]
)
def test_other_content_types_are_refused(header: str) -> None:
    with pytest.raises(problems.Refused) as refusal:
        body.media_type(header)
    assert refusal.value.problem is problems.UNSUPPORTED_MEDIA_TYPE


@given(st.binary(), st.sampled_from([body.JSON, body.CLOUD_EVENT, body.CLOUD_EVENTS, body.NDJSON]))
def test_arbitrary_bytes_are_parted_or_refused(content: bytes, media: str) -> None:
    try:
        posted = body.split(content, media, max_events=5)
    except problems.Refused:
        return
    assert 1 <= len(posted.texts) <= 5


@given(st.text())
def test_arbitrary_content_types_are_known_or_refused(header: str) -> None:
    try:
        media = body.media_type(header)
    except problems.Refused:
        return
    assert media == body.JSON or media in header.lower()
