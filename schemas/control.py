"""What stands on topic `control`: the sequence of policies, each with the instant from which it is to decide, and what
scorers were asked to rebuild."""

from typing import Literal

import msgspec

from schemas.instants import Instant


class Activation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One policy of the sequence.

    record:       what kind of record it is
    sequence:     1, 2, 3 ... without gaps
    policy:       its name.  digest: over everything in it that decides
    text:         the whole document, as it was written
    effective_at: from this instant in event time on it is to decide; never earlier than the one before
    activated_at: when the record was written
    activated_by: who did it
    playbooks:    whether transitions that the switch itself brings are to trigger playbooks
    restores:     the sequence number of the activation that is taken up again; absent where the policy is a new one
    """

    record: Literal["activation"]
    sequence: int
    policy: str
    digest: str
    text: str
    effective_at: Instant
    activated_at: Instant
    activated_by: str
    playbooks: bool = True
    restores: int | None = None


class Rebuild(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every customer is to be made anew from topic `events`, with more of each event kept than before.

    record:   what kind of record it is
    sequence: of rebuilds 1, 2, 3 ... without gaps
    fields:   of events, to be kept from now on beside those that policies name
    asked_at: when the record was written
    asked_by: who did it
    policy:   the name of the policy that needs the fields; absent where none was named
    """

    record: Literal["rebuild"]
    sequence: int
    fields: list[str]
    asked_at: Instant
    asked_by: str
    policy: str | None = None


Record = Activation | Rebuild
