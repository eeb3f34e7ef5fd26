"""The body of a request becomes the texts of its events, by content type and, for plain JSON, by its first byte."""

import io
from email.message import Message
from typing import NamedTuple

import msgspec

from schemas.problems import (
    EMPTY_BODY,
    MALFORMED_BODY,
    TOO_DEEP,
    TOO_MANY_EVENTS,
    UNSUPPORTED_MEDIA_TYPE,
    Refused,
)

JSON = "application/json"
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
NDJSON = "application/x-ndjson"
LINES = (NDJSON, "application/ndjson", "application/jsonl")

_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Far more than an event needs; an array of a million zeros is found by it before it takes memory.
_COMMAS_OF_AN_EVENT = 64


class Posted(NamedTuple):
    """texts: one JSON text an event, not read yet.

    batch:        many were sent, so each gets a result of its own, even if there is only one
    cloud_events: the content type says that they are CloudEvents
    """

    texts: list[bytes]
    batch: bool
    cloud_events: bool


def media_type(content_type: str | None) -> str:
    """The media type, which must be one of ours in UTF-8; without a header it is JSON. Refused otherwise."""
    if not content_type:
        return JSON
    header = Message()
    header["content-type"] = content_type
    media = header.get_content_type()
    if media not in (JSON, CLOUD_EVENT, CLOUD_EVENTS, *LINES):
        raise Refused(UNSUPPORTED_MEDIA_TYPE, f"the content type is {content_type[:100]!r}")
    if (charset := header.get_content_charset("utf-8")) not in ("utf-8", "utf8", "us-ascii"):
        raise Refused(UNSUPPORTED_MEDIA_TYPE, f"the charset is {charset[:100]!r}, JSON is UTF-8")
    return media


def split(body: bytes, media: str, *, max_events: int) -> Posted:
    """The texts of the events in `body`, at least one. Refused if it cannot be parted, or into too many."""
    body = body.removeprefix(_BYTE_ORDER_MARK)
    cloud_events = media in (CLOUD_EVENT, CLOUD_EVENTS)
    if media in LINES:
        return Posted(_lines(body, max_events), True, cloud_events)
    if media == CLOUD_EVENTS or (media == JSON and body.lstrip()[:1] == b"["):
        return Posted(_array(body, max_events), True, cloud_events)
    if not body.strip():
        raise Refused(EMPTY_BODY, "the body is empty")
    return Posted([body], False, cloud_events)


def _lines(body: bytes, max_events: int) -> list[bytes]:
    texts: list[bytes] = []
    for line in io.BytesIO(body):
        if text := line.strip():
            texts.append(text)
            if len(texts) > max_events:
                raise _too_many(max_events)
    if not texts:
        raise Refused(EMPTY_BODY, "the body has no line with an event")
    return texts


def _array(body: bytes, max_events: int) -> list[bytes]:
    if body.count(b",") > max_events * _COMMAS_OF_AN_EVENT:
        raise _too_many(max_events)
    try:
        items = _ITEMS.decode(body)
    except msgspec.ValidationError:
        raise Refused(MALFORMED_BODY, "a batch is a JSON array of events") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(MALFORMED_BODY, str(error)) from None
    except RecursionError:
        raise Refused(TOO_DEEP, "the body is nested too deeply") from None
    if not items:
        raise Refused(EMPTY_BODY, "the array is empty")
    if len(items) > max_events:
        raise _too_many(max_events)
    return [bytes(item) for item in items]


def _too_many(max_events: int) -> Refused:
    return Refused(TOO_MANY_EVENTS, f"more than {max_events} events in one request")
