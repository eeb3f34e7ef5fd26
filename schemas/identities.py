"""What stands on topic `identities`: which subjects are one customer, and who has been erased, in one sequence.

Subjects are resolved by whoever writes: `into` and `subject` are never names of somebody who has been merged away.
"""

import msgspec

from schemas.instants import Instant


class _Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record"):
    """sequence: 1, 2, 3 ... without gaps

    at: the instant it takes effect, never earlier than the one before; but at most a minute after the
        broker's append time of the record
    """

    sequence: int
    at: Instant


class Merge(_Operation, frozen=True, kw_only=True, omit_defaults=True, tag="merge"):
    """From now on `from` is another name for `into`.  asked: whom the caller named, where that is not `into`"""

    from_: str = msgspec.field(name="from")
    into: str
    asked: str | None = None


class Unmerge(_Operation, frozen=True, kw_only=True, omit_defaults=True, tag="unmerge"):
    """`from`, merged into `into` before, is a customer of its own again, with all that came in through it."""

    from_: str = msgspec.field(name="from")
    into: str
    asked: str | None = None


class Erasure(_Operation, frozen=True, kw_only=True, omit_defaults=True, tag="erasure"):
    """Everything up to `at` of `subject` and of all merged into it is forgotten; those are customers again."""

    subject: str
    asked: str | None = None


Identity = Merge | Unmerge | Erasure
