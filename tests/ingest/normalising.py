"""One posted item through a normaliser of its own, at one instant of acceptance."""

from typing import Any

from schemas import events, problems
from services.ingest.normalise import Normaliser, Refusal
from tests.ingest.posting import ACCEPTED_AT, shorthand, text

normalise = Normaliser()


def accepted(raw: bytes, **how: Any) -> events.Event:
    event = normalise(raw, ACCEPTED_AT, **how)
    assert not isinstance(event, Refusal), event
    return event


def refused(raw: bytes, **how: Any) -> Refusal:
    refusal = normalise(raw, ACCEPTED_AT, **how)
    assert isinstance(refusal, Refusal), refusal
    return refusal


def purchase(**changes: Any) -> events.Purchase:
    event = accepted(text(shorthand("purchase", **changes)))
    assert isinstance(event, events.Purchase)
    return event


def refusal_of(kind: str, /, **changes: Any) -> problems.ProblemDetails:
    return refused(text(shorthand(kind, **changes))).problem
