"""One posted item becomes one accepted event, or a problem that names the field and the fix.

Pure: the clock is passed in. The good path decodes once into the contract's type (`schemas/intake.py`) and costs a few
microseconds; only what fails there is looked at closely (`diagnose.py`).
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, get_args

import msgspec

from schemas import events, intake
from schemas.problems import (
    INVALID_ID,
    INVALID_SUBJECT,
    PERSONAL_SUBJECT,
    TOO_DEEP,
    ProblemDetails,
    Refused,
)
from services.ingest import diagnose, fields, identifiers, timestamps

_SHORTHAND = msgspec.json.Decoder(intake.Shorthand)
_CLOUD_EVENT = msgspec.json.Decoder(intake.CloudEvent)


class Refusal(NamedTuple):
    """id: the event's, as far as it could be read."""

    id: str | None
    problem: ProblemDetails


class Normaliser:
    """allow_personal_subjects: take subjects that look like e-mail addresses or telephone numbers."""

    def __init__(self, *, allow_personal_subjects: bool = False) -> None:
        self._allow_personal = allow_personal_subjects
        self._check_subject = lru_cache(maxsize=65_536)(self._subject)

    def __call__(self, raw: bytes, accepted: datetime, *, cloud_event: bool = False) -> events.Event | Refusal:
        """The event in `raw`, the text of one JSON value.

        accepted:    the instant of acceptance, UTC in whole milliseconds
        cloud_event: the caller has declared CloudEvents, so shorthand is not taken
        """
        # A guess that is right but for values that read so; what is wrong then is found by looking closely.
        guess = cloud_event or b'"specversion"' in raw
        try:
            posted = (_CLOUD_EVENT if guess else _SHORTHAND).decode(raw)
            event, strings = self._event(posted, accepted)
            if strings != raw.count(b'"'):
                diagnose.refuse_repeated(raw)
        except Refused as refused:
            return Refusal(posted.id, refused.details())
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._look_closely(raw, accepted, cloud_event)
        except RecursionError:
            return Refusal(None, Refused(TOO_DEEP, "the event is nested too deeply").details())
        return event

    def _look_closely(self, raw: bytes, accepted: datetime, declared: bool) -> events.Event | Refusal:
        id_: str | None = None
        try:
            item = diagnose.read(raw)
            if type(given := item.get("id")) is str:  # a number reads as a text of another type
                id_ = given
            is_cloud_event = diagnose.check(item, declared=declared)
            # Nothing wrong that we know of: the decoder has the last word.
            try:
                posted = (_CLOUD_EVENT if is_cloud_event else _SHORTHAND).decode(raw)
            except msgspec.MsgspecError as error:
                raise diagnose.of_decoder(error) from None
            return self._event(posted, accepted)[0]
        except Refused as refused:
            return Refusal(id_, refused.details())

    def _event(self, posted: Any, accepted: datetime) -> tuple[events.Event, int]:
        """The event, and how many quotation marks its text has if it holds every string once and no other.

        The second is how members given twice are found without reading the text twice: JSON leaves open which of
        them counts, and the decoder takes the last in silence. Each string has two marks at least and those kept are
        all in the text, so one that has no mark more than they need holds nothing else.
        """
        if flaw := identifiers.flaw(posted.id):
            raise Refused(INVALID_ID, f"id {flaw}", field="id")
        if flaw := identifiers.flaw(posted.source):
            raise Refused(INVALID_ID, f"source {flaw}", field="source")
        self._check_subject(posted.subject)
        if posted.time is None:
            stamped, time, strings = True, accepted, 8
        else:
            stamped, strings = False, 10
            try:
                time = timestamps.read(posted.time, accepted)
            except Refused as refused:
                refused.field = "time"
                raise
        kind, make, is_cloud_event = _MAKERS[type(posted)]
        if is_cloud_event:
            strings += 2 if posted.datacontenttype is None else 4
            data, more = make(posted.data, "data.", time)
            strings += 0 if posted.data is None else 1
        else:
            data, more = make(posted, "", time)
        event = kind(
            id=posted.id,
            source=posted.source,
            subject=posted.subject,
            time=time,
            specversion="1.0",
            stamped=stamped,
            receivedtime=accepted,
            data=data,
        )
        return event, 2 * (strings + more)

    def _subject(self, subject: str) -> None:
        if flaw := identifiers.flaw(subject):
            raise Refused(INVALID_SUBJECT, f"subject {flaw}", field="subject")
        if not self._allow_personal and (looks_like := identifiers.personal(subject)):
            raise Refused(PERSONAL_SUBJECT, f"subject looks like {looks_like}", field="subject")


_MAKERS: dict[type, tuple[Callable[..., events.Event], fields.Maker, bool]] = {
    posted: (*fields.MAKERS[str(posted.__struct_config__.tag)], is_cloud_event)
    for union, is_cloud_event in ((intake.Shorthand, False), (intake.CloudEvent, True))
    for posted in get_args(union)
}
