"""A customer's row: the scorer's state record, and what lists and filters need of it."""

from datetime import datetime
from typing import NamedTuple

from schemas.decisions import Kind, Value
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.packing import decode

TIER = "tier"


class CustomerRow(NamedTuple):
    """As table `customers` has it."""

    subject: str
    partition: int
    state: bytes
    tier: str
    tier_since: datetime | None
    classes: dict[str, str]
    segments: list[str]
    churn: bool | None
    changed_at: datetime | None


class Projection:
    """Reads positions out of state records."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    def row(self, subject: str, partition: int, record: bytes) -> CustomerRow | None:
        """None of one without any event, as of an erased one: nothing is known of them. StateError if the record cannot
        be read."""
        customer = decode(record, self._policies)
        if not len(customer.ledger):
            return None
        shown = customer.shown()
        of_kind: dict[Kind, dict[str, Value]] = {"ladder": {}, "class": {}, "segment": {}, "churn": {}}
        for name, (kind, value, _) in shown.items():
            of_kind[kind][name] = value
        _, tier, tier_since_ms = shown[TIER]
        changed_ms = customer.changed_ms
        return CustomerRow(
            subject=subject,
            partition=partition,
            state=record,
            tier=str(tier),
            tier_since=None if tier_since_ms is None else to_datetime(tier_since_ms),
            classes={name: str(value) for name, value in of_kind["class"].items()},
            segments=[name for name, inside in of_kind["segment"].items() if inside],
            churn=next((bool(value) for value in of_kind["churn"].values()), None),
            changed_at=None if changed_ms == -NEVER else to_datetime(changed_ms),
        )
