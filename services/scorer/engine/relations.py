"""Merges, unmerges, erasures and rebuilds as they are done to a partition's customers (rules 4, 11 and 12).

What has to cross to another partition goes over topic `transfers`, in the transaction of the turn that sends it.
"""

import structlog
from msgspec.structs import replace

from schemas.topics import SCORER_STATE
from services.scorer.domain.merging import depart, erase, joined, receive, renew, unmerge
from services.scorer.domain.packing import decode, encode, mark
from services.scorer.domain.state import Customer
from services.scorer.engine.kinship import Kinship, Operation
from services.scorer.engine.shard import Shard
from services.scorer.engine.transfers import Forwarded, Moved, Renewed, Returned, Transfer
from services.scorer.engine.turn import Turn

log = structlog.get_logger()


def can_begin(shard: Shard, operation: Operation) -> bool:
    """Whether nothing that comes before it is on its way any more."""
    return _whose_turn_it_is(shard, operation) is not None


def begin(shard: Shard, turn: Turn, operation: Operation) -> bool:
    """Do this partition's part of an operation; False as long as something that comes before it is on its way."""
    customer = _whose_turn_it_is(shard, operation)
    if customer is None:
        return False
    match operation.kind:
        case "merge":
            _merge(shard, turn, operation, customer)
        case "unmerge":
            _unmerge(shard, turn, operation, customer)
        case "erasure":
            _erase(shard, turn, operation, customer)
    turn.operations[operation.kind] = turn.operations.get(operation.kind, 0) + 1
    return True


def take(shard: Shard, turn: Turn, transfer: Transfer, until_ms: int, kinship: Kinship, begun: int, more: bool) -> bool:
    """Take what has come from another partition; False as long as that cannot be.

    begun: the operation up to which this partition has done its part.  more: whether something has come behind it
    """
    if not _is_heard_of(shard, transfer, kinship):
        return False
    if _is_early(shard, transfer, kinship, begun):
        if not more:
            return False
        shard.forward(turn, transfer)  # what it waits for may stand behind it: let it pass
    else:
        match transfer:
            case Forwarded() | Renewed():
                _take_for_a_name(shard, turn, transfer, until_ms)
            case Moved():
                _receive(shard, turn, transfer)
            case Returned():
                _return(shard, turn, transfer, until_ms)
    turn.received += 1
    return True


def _is_heard_of(shard: Shard, transfer: Transfer, kinship: Kinship) -> bool:
    """Whether what the sender knew is known here: operation, rebuild, the policies a record was decided under."""
    match transfer:
        case Forwarded(rebuild=rebuild):
            return rebuild <= shard.policies.rebuild
        case Renewed(rebuild=rebuild, record=record):
            return rebuild <= shard.policies.rebuild and _can_read(shard, record)
        case Moved(sequence=sequence, record=record):
            return kinship.knows(sequence) and _can_read(shard, record)
        case Returned(record=record):
            return _can_read(shard, record)


def _is_early(shard: Shard, transfer: Transfer, kinship: Kinship, begun: int) -> bool:
    """Whether something is to be done first to whom it is for: their erasure, say, or their own return from a merge."""
    match transfer:
        case Moved(sequence=sequence, subject=subject):
            return subject.encode() in shard.aliases or kinship.comes_first(shard.number, begun, sequence, subject)
        case Forwarded(at_ms=at_ms):
            next_life = kinship.next_life(shard.number, begun)
            return next_life is not None and next_life(shard.subject_of(transfer), at_ms)
        case _:
            return False


def _whose_turn_it_is(shard: Shard, operation: Operation) -> Customer | None:
    """To whom it is done first; None as long as something that comes before it is on its way."""
    if operation.subject.encode() in shard.aliases:
        return None
    customer = _customer(shard, operation.subject)
    return customer if joined(customer).keys() == operation.with_ else None


def _merge(shard: Shard, turn: Turn, operation: Operation, customer: Customer) -> None:
    subject, into, at_ms = operation.subject, operation.into, operation.at_ms
    departed = depart(customer, shard.policies, subject=subject, into=into, at_ms=at_ms)
    for change in departed.changes:
        turn.change(change, subject.encode(), subject)
    shard.become_alias(turn, subject, into)
    shard.forward(turn, Moved(operation.sequence, into, subject, at_ms, departed.record, departed.joined))


def _receive(shard: Shard, turn: Turn, moved: Moved) -> None:
    subject = moved.subject
    customer, other = _customer(shard, subject), decode(moved.record, shard.policies)
    changes = receive(
        customer,
        other,
        moved.joined,
        shard.policies,
        subject=subject,
        other_subject=moved.other,
        at_ms=moved.at_ms,
    )
    for change in changes:
        turn.change(change, subject.encode(), subject)
    shard.put(turn, subject, encode(customer))


def _return(shard: Shard, turn: Turn, returned: Returned, until_ms: int) -> None:
    key = returned.subject.encode()
    shard.put(turn, returned.subject, returned.record)
    for decision in returned.decisions:
        turn.written_here(decision, key)
    # Sent by one who had not heard of a policy: no sweep here knows of them, nor do they know when it begins.
    if mark(returned.record) != shard.policies.marks[-1]:
        shard.look_at(turn, [key], until_ms)


def _unmerge(shard: Shard, turn: Turn, operation: Operation, customer: Customer) -> None:
    subject, other, at_ms = operation.subject, operation.into, operation.at_ms
    parted = unmerge(customer, shard.policies, subject=subject, other_subject=other, at_ms=at_ms)
    for change in parted.changes:
        turn.change(change, subject.encode(), subject)
    shard.put(turn, subject, encode(parted.customer))
    decisions = [turn.for_elsewhere(change, other) for change in parted.of_other]
    shard.forward(turn, Returned(operation.sequence, other, at_ms, encode(parted.other), decisions))


def _erase(shard: Shard, turn: Turn, operation: Operation, customer: Customer) -> None:
    subject, at_ms = operation.subject, operation.at_ms
    erased = erase(customer, shard.policies, subject=subject, at_ms=at_ms)
    for change in erased.changes:
        turn.change(change, subject.encode(), subject)
    shard.put(turn, subject, encode(customer))
    for alias, freed in erased.freed.items():
        decisions = [turn.for_elsewhere(change, alias) for change in freed.changes]
        shard.forward(turn, Returned(operation.sequence, alias, at_ms, encode(freed.customer), decisions))


def take_anew(
    shard: Shard, turn: Turn, key: bytes, record: bytes | None, offset: int, until_ms: int, *, whole: bool
) -> bool:
    """Let what came for the name `key` be what a rebuild has made of it; False if that is what it is already.

    record: of a customer who lived on those events alone, up to `offset`; None if there are none
    whole:  whether it is all that came; else what is here beside stays
    """
    name, into = key.decode(), shard.aliases.get(key)
    if into is None:
        return _renew(shard, turn, name, "", record, until_ms, whole=whole)
    if record is None:
        return False
    shard.forward(turn, Renewed(into, name, until_ms, shard.policies.rebuild, offset, record))
    return True


def _renew(
    shard: Shard, turn: Turn, subject: str, origin: str, record: bytes | None, at_ms: int, *, whole: bool
) -> bool:
    """Where the core fails they stay as they are, so that a fault of ours stops nobody else."""
    policies = shard.policies
    try:
        customer = _customer(shard, subject)
        anew = Customer.new(policies) if record is None else decode(record, policies)
        changes = renew(customer, anew, policies, subject=subject, origin=origin, at_ms=at_ms, whole=whole)
        if changes is None:
            return False
        told, after = turn.told(changes, subject), encode(customer)
        if len(after) > SCORER_STATE.longest_bytes:
            raise OverflowError(f"the record would take {len(after):,} bytes")
    except MemoryError:
        raise  # no customer's fault
    except Exception as error:  # whatever it is, it is told
        log.error("a rebuild fails at a customer", partition=shard.number, subject=subject, exc_info=error)
        return False
    turn.tell(told, subject.encode())
    shard.put(turn, subject, after)
    return True


def _take_for_a_name(shard: Shard, turn: Turn, transfer: Forwarded | Renewed, until_ms: int) -> None:
    """Of what came for another name: here, on to whom that one has been merged into, or back to the name it came for.

    On these ways an event may come before what a rebuild has made of those before it: that one is not the whole then.
    """
    key = transfer.subject.encode()
    if key in shard.aliases:
        shard.forward(turn, replace(transfer, subject=shard.aliases[key]))
        return
    name = transfer.name if isinstance(transfer, Renewed) else shard.subject_of(transfer)
    if name != transfer.subject and name not in joined(_customer(shard, transfer.subject)):
        shard.forward(turn, replace(transfer, subject=name))
    elif isinstance(transfer, Forwarded):
        shard.take_forwarded(turn, transfer, until_ms)
    else:
        origin = "" if name == transfer.subject else name
        _renew(shard, turn, transfer.subject, origin, transfer.record, transfer.at_ms, whole=False)


def _customer(shard: Shard, subject: str) -> Customer:
    record = shard.records.get(subject.encode())
    return Customer.new(shard.policies) if record is None else decode(record, shard.policies)


def _can_read(shard: Shard, record: bytes) -> bool:
    """Whether the policies it was decided under are known here; the sender may have heard of them earlier."""
    return mark(record) in shard.policies.known
