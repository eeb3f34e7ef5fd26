"""The event that moved a customer, as decision records name it."""

from typing import Final

from schemas.decisions import Cause, Trigger
from schemas.events import AcceptedEvent, Override, Refund
from services.scorer.domain.entries import Entry
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.state import Waiting


def cause_late(event: AcceptedEvent) -> Cause:
    """Why a path was played again."""
    if isinstance(event, Override):
        return "manual"
    return "refund" if isinstance(event, Refund) else "late_event"


_TYPES: Final[dict[type, str]] = {}  # by class, once asked for


def type_of(event: AcceptedEvent) -> str:
    tag = _TYPES.get(type(event))
    if tag is None:
        tag = _TYPES[type(event)] = str(type(event).__struct_config__.tag)
    return tag


def trigger_of(event: AcceptedEvent) -> Trigger:
    return Trigger(
        type=type_of(event), id=event.id, source=event.source, time=event.time, received_at=event.receivedtime
    )


def wait_for(entry: Entry, event: AcceptedEvent) -> Waiting:
    received_ms = None if event.receivedtime is None else to_ms(event.receivedtime)
    return Waiting(entry, type_of(event), event.id, event.source, received_ms)


def wait_unnamed(entry: Entry) -> Waiting:
    """Of an entry that came out of another origin's shadow its event's name is not known any more: no trigger."""
    return Waiting(entry, "", "", "", None)


def trigger_of_waiting(waiting: Waiting) -> Trigger:
    received_at = None if waiting.received_ms is None else to_datetime(waiting.received_ms)
    time = to_datetime(waiting.entry.time_ms)
    return Trigger(type=waiting.type, id=waiting.id, source=waiting.source, time=time, received_at=received_at)
