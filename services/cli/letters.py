"""Dead letters for people: opened, found by their ids, and where each stands: open, repaired, resent."""

from collections.abc import Callable
from datetime import UTC, datetime
from getpass import getuser
from typing import Any, NamedTuple, TypeVar

import click
import msgspec

from schemas.decisions import DeadLetter
from schemas.events import Event
from schemas.letters import Handling
from schemas.unreadable import UNREADABLE
from services.analyst import words
from services.ingest.denormalise import posted
from services.local.errors import MISUSED, CannotStart
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaUnavailable, TopicMismatch, TopicMissing
from services.shared.letters import Letters, Place
from services.shared.settings import KafkaSettings

Result = TypeVar("Result")

_event = msgspec.json.Decoder(Event).decode


class Letter(NamedTuple):
    """A dead letter, and what was done about it so far."""

    place: Place
    letter: DeadLetter
    handling: Handling

    @property
    def state(self) -> str:
        done = self.handling
        if done.is_resent and done.resent_at is not None:
            return f"resent {words.instant(done.resent_at)}"
        return "repaired" if done.event is not None else "open"

    def as_json(self) -> dict[str, Any]:
        """For --json; the event's bytes as they stand in the letter are left out."""
        told = {name: value for name, value in msgspec.to_builtins(self.letter).items() if name != "event"}
        done = {name: value for name, value in msgspec.to_builtins(self.handling).items() if name != "letter"}
        return {"letter": str(self.place), "state": self.state.partition(" ")[0], **told, "handled": done}


class Letterbox:
    """What the topics hold. CannotStart if they can't be read, or a letter is not there."""

    def __init__(self) -> None:
        self._letters = told(lambda: Letters(KafkaSettings()))
        self._handled = told(self._letters.handled)

    def all(self) -> list[Letter]:
        """The oldest one first."""
        found = [self._with(place, letter) for place, letter in told(self._letters.read)]
        return sorted(found, key=lambda one: (one.letter.at, one.place))

    def one(self, id_: str) -> Letter:
        try:
            place = Place.read(id_)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        letter = told(lambda: self._letters.one(place))
        if letter is None:
            raise CannotStart(
                f"there is no dead letter {place}; `tierline dead-letters list` shows them", exit_code=MISUSED
            )
        return self._with(place, letter)

    def original(self, letter: DeadLetter) -> bytes | None:
        """The whole event; None if it was cut and topic `events` does not hold it any more."""
        return told(lambda: self._letters.original(letter))

    def note(self, *done: Handling) -> None:
        told(lambda: self._letters.note(done))

    def _with(self, place: Place, letter: DeadLetter) -> Letter:
        return Letter(place, letter, self._handled.get(place, Handling(letter=str(place))))


def as_posted(raw: bytes | None) -> dict[str, Any] | None:
    """The event as it would be posted; None if its bytes are gone, or no JSON object."""
    return None if raw is None else posted(raw)


def comes_back(letter: DeadLetter, raw: bytes | None, event: Event) -> str | None:
    """Why `event`, sent in the letter's place, would bring nothing but another dead letter; None if it need not.

    raw: the bytes that were not taken
    """
    try:
        before = _event(raw or b"")
    except UNREADABLE:
        return None
    same_customer = event.subject == before.subject
    same_id = same_customer and (event.source, event.id) == (before.source, before.id)
    same = {
        "id_conflict": same_id,
        "order_conflict": same_customer and _order(event) == _order(before),
        "refund_exceeds_order": same_id,
        "refund_currency": same_id,
        "too_old": same_customer and event.time == before.time,
        "ledger_full": same_customer,
    }
    return _WHY[letter.reason] if same.get(letter.reason) else None


_TAKEN = "the refund was taken, as far as it could be: to send another, repair it with a new id"
_WHY: dict[str, str] = {
    "id_conflict": "another event has this id, and the first one stands. If this is an event of its own, --new-id "
    "sends it under a new id, and both count; if it was to correct the first, post a refund and a new event instead",
    "order_conflict": "another purchase has this order's key, and the first one stands: repair it with --set "
    "data.order=... if it is an order of its own",
    "refund_exceeds_order": _TAKEN,
    "refund_currency": _TAKEN,
    "too_old": "nothing so old of this customer can be taken any more",
    "ledger_full": "this customer's record is full: part or erase what is not theirs",
}


def _order(event: Event) -> object:
    return getattr(event.data, "order", None) or (event.source, event.id)


def told(call: Callable[[], Result]) -> Result:
    try:
        return call()
    except TopicMismatch as error:
        raise CannotStart(str(error), exit_code=MISUSED) from error
    except (KafkaUnavailable, TopicMissing, ForeignRecord) as error:
        raise CannotStart(str(error)) from error


def now() -> datetime:
    """In whole milliseconds."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def by(given: str | None) -> str:
    """Who does it; your user name if not given."""
    try:
        return given or getuser()
    except (KeyError, OSError, ImportError):
        raise click.UsageError("your user has no name; say --by") from None
