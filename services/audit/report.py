"""What an audit found, as a document and as lines for people."""

from collections.abc import Iterator

import msgspec

from schemas.instants import Instant
from services.analyst.words import counted, instant
from services.audit.run import Audited
from services.audit.tally import AGREES, DIFFERS, IN_MOTION, INEXACT, OUTCOMES, Finding
from services.scorer.domain.instants import to_datetime


class Report(msgspec.Struct, frozen=True):
    """customers: by outcome.  events: recomputed.  policies: in force one after another

    until:    the instant both sides were played to
    slice:    number and count of the sample looked at, counted from 1; null for all customers
    findings: who differs, by name; the first thousand.  left_out: how many more differ
    """

    until: Instant
    slice: tuple[int, int] | None
    customers: dict[str, int]
    events: int
    policies: int
    findings: list[Finding]
    left_out: int


def report(audited: Audited) -> Report:
    tally, scope = audited.tally, audited.scope
    return Report(
        until=to_datetime(audited.until_ms),
        slice=None if scope.slices == 1 else (scope.number + 1, scope.slices),
        customers={outcome: tally.customers[outcome] for outcome in OUTCOMES},
        events=tally.events,
        policies=audited.policies,
        findings=tally.findings,
        left_out=tally.differing - len(tally.findings),
    )


def lines(told: Report) -> Iterator[str]:
    customers = told.customers
    for finding in told.findings:
        yield finding.customer
        for difference in finding.differences:
            yield f"  {difference.detail}"
    if told.left_out:
        yield f"and {told.left_out:,} more"
    which = "" if told.slice is None else f"slice {told.slice[0]} of {told.slice[1]}: "
    said = f"{customers[AGREES]:,} agree, {customers[DIFFERS]:,} differ"
    events, policies = (
        counted(told.events, "event"),
        f"{told.policies} {'policy' if told.policies == 1 else 'policies'}",
    )
    every = counted(sum(customers.values()), "customer")
    yield f"{which}{every}: {said} ({events}, {policies}, until {instant(told.until)})"
    if customers[IN_MOTION]:
        yield f"{customers[IN_MOTION]:,} not compared: something of theirs was on its way between partitions; ask again"
    if customers[INEXACT]:
        yield (
            f"{customers[INEXACT]:,} not wholly compared: their ledgers are so long that clicks and interactions are "
            "kept by the hour, and something came late or was merged"
        )
    if customers[DIFFERS]:
        yield "`tierline explain CUSTOMER` says what is shown of one of them now"
