"""A dead letter that fits into a record, whatever stood on `events`: a record too long would stop the partition.

Of an event longer than LETTER_BYTES the letter has exactly so many bytes: by that readers know that it was cut.
"""

from typing import Final

from schemas.decisions import LETTER_BYTES, DeadLetter, DeadLetterReason
from schemas.events import Event
from schemas.subjects import LONGEST_KEY
from services.scorer.domain.instants import to_datetime

LONGEST_TEXT: Final = 1_000  # characters of subject, id and detail; ingest takes 128 of the first two
_SHOWN: Final = 100


def letter(
    reason: DeadLetterReason,
    detail: str,
    raw: bytes,
    event: Event | None,
    *,
    topic: str,
    place: tuple[int, int],
    decided_ms: int,
) -> DeadLetter:
    """place: partition and offset. What was cut is named at the end of the detail."""
    detail = detail[:LONGEST_TEXT]
    subject, id_ = (None, None) if event is None else (event.subject, event.id)
    for name, text in (("subject", subject), ("id", id_)):
        if text is not None and len(text) > LONGEST_TEXT:
            detail += f"; its {name}, {len(text)} characters, cut to {LONGEST_TEXT}"
    if len(raw) > LETTER_BYTES:
        detail += f"; {len(raw)} bytes cut to {LETTER_BYTES}, the whole stands at the offset named"
    return DeadLetter(
        reason=reason,
        detail=detail,
        subject=None if subject is None else subject[:LONGEST_TEXT],
        id=None if id_ is None else id_[:LONGEST_TEXT],
        topic=topic,
        partition=place[0],
        offset=place[1],
        at=to_datetime(decided_ms),
        event=raw[:LETTER_BYTES],
    )


def key_of(record_key: bytes | None) -> bytes | None:
    """The letter's key: that of the record, or its beginning if no customer can have it."""
    return None if record_key is None else record_key[:LONGEST_KEY]


def shown(text: bytes | str | None) -> str:
    """For a detail, of what may be without end."""
    if text is None or len(text) <= _SHOWN:
        return repr(text)
    return f"{text[:_SHOWN]!r}..."
