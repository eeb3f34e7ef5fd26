"""What is kept of all events so far: the fields that activated policies name, and those of rebuilds that are done."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.control import Rebuild, Record
from services.scorer.domain.eras import kept_for
from services.scorer.domain.policy import Policy
from services.scorer.engine.progress import positions
from services.scorer.sequence import Book
from services.shared.settings import KafkaSettings


class Progress(NamedTuple):
    """Of the rebuild of this number: how many partitions have done it, of how many."""

    number: int
    done: int
    partitions: int

    @property
    def is_done(self) -> bool:
        return self.done == self.partitions


def missing(records: Sequence[Record], policy: Policy) -> frozenset[str]:
    """The fields the policy asks for that no activated policy names."""
    activated = Book([record for record in records if not isinstance(record, Rebuild)]).policies
    return kept_for(policy) - activated.fields


def found_by(records: Sequence[Record], fields: frozenset[str]) -> int | None:
    """The first rebuild that finds all these fields; None if none was asked for."""
    left = set(fields)
    for record in records:
        if isinstance(record, Rebuild):
            left.difference_update(record.fields)
            if not left:
                return record.sequence
    return None


def progress(settings: KafkaSettings, number: int) -> Progress:
    """KafkaUnavailable, StateError."""
    done = sum(position.rebuilt >= number for position in positions(settings).values())
    return Progress(number, done, settings.partitions)
