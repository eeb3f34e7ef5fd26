"""What stands on topic `dead-letters-handled`: what people have done about each dead letter."""

import msgspec

from schemas.instants import Instant


class Handling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was done about one dead letter so far; the newest record of a letter says all of it.

    letter:      where it stands on `dead-letters`, as partition:offset
    event:       the repaired event as it is to be posted to ingest, a JSON text; absent if it is to be sent as it was
    repaired_at: when it was repaired last.  repaired_by: by whom
    resent_at:   when ingest took it again last.  resent_by: who sent it
    resent_id:   the id under which it was sent
    partition:   of `events`, where it then stood.  offset: its place there; absent if ingest did not know it
    """

    letter: str
    event: str | None = None
    repaired_at: Instant | None = None
    repaired_by: str | None = None
    resent_at: Instant | None = None
    resent_by: str | None = None
    resent_id: str | None = None
    partition: int | None = None
    offset: int | None = None

    @property
    def is_resent(self) -> bool:
        """Whether nothing is left to be sent: it was, and was not repaired since."""
        return self.resent_at is not None and (self.repaired_at is None or self.repaired_at <= self.resent_at)
