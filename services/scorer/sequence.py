"""What topic `control` tells: the sequence of policies an installation decides by (rule 9), and what to rebuild.

The first of it is the policy of the first start and holds from the beginning; each later one from its `effective_at`.
"""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from schemas.control import Activation, Rebuild, Record
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.pending import refuse_pending
from services.scorer.domain.policy import PolicyError, compiled
from services.shared.control import Control, Overtaken
from services.shared.kafka import KafkaUnavailable

FIRST = "the first start"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_WITHIN_S = 30.0
_PAUSE_S = 0.1


class Book:
    """All policies and rebuilds known so far; any thread may add what it has read."""

    def __init__(self, known: Sequence[Record] = ()) -> None:
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self._policies: Policies | None = None
        self.learn(known)

    @property
    def policies(self) -> Policies:
        """There is at least one: `learn` comes first."""
        assert self._policies is not None, "no policy is known yet"
        return self._policies

    @property
    def records(self) -> Sequence[Record]:
        return self._records

    @property
    def activations(self) -> Sequence[Activation]:
        return [one for one in self._records if isinstance(one, Activation)]

    def learned(self, known: Sequence[Record]) -> Policies:
        """All of them, once `known` was added."""
        self.learn(known)
        return self.policies

    def learn(self, known: Sequence[Record]) -> None:
        """Add what of the records, told from the first one, is not known yet. PolicyError if one cannot be read."""
        with self._lock:
            for one in known[len(self._records) :]:
                if isinstance(one, Rebuild):
                    self._policies = self.policies.keeping(one.fields, one.sequence)
                else:
                    self._policies = _followed(self._policies, one)
                self._records.append(one)


def first(text: str, source: str = "policy.yaml") -> Activation:
    """What the sequence begins with. PolicyError, also if no service carries all of the policy out."""
    policy = compiled(text, source)
    refuse_pending(policy)
    return Activation(
        record="activation",
        sequence=1,
        policy=policy.name,
        digest=policy.digest,
        text=text,
        effective_at=_BEGINNING,
        activated_at=to_datetime(to_ms(datetime.now(UTC))),
        activated_by=FIRST,
    )


def begun(control: Control, text: str, source: str = "policy.yaml") -> list[Record]:
    """The records as they stand; begun with this policy if it is empty. Of several who begin it at once one does.

    Blocks. PolicyError, and what `Control` raises.
    """

    def following(known: Sequence[Activation]) -> list[Activation]:
        return [] if known else [first(text, source)]

    deadline = time.monotonic() + _WITHIN_S
    known = control.records()
    while not known:
        try:
            control.append(following)
        except (Overtaken, KafkaUnavailable):
            # Of two who begin it at once the broker may tell one of a fault of its own; what stands there decides.
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
        known = control.records()
    return known


def _followed(before: Policies | None, one: Activation) -> Policies:
    policy = compiled(one.text, f"control number {one.sequence}")
    if policy.digest != one.digest:
        raise PolicyError(
            f"control number {one.sequence}: this version reads the policy otherwise ({policy.digest}) than the one "
            f"that activated it ({one.digest}); start that version"
        )
    if before is None:
        return Policies.only(policy)
    last = before.eras[-1]
    # The clocks of two who activate may differ: nothing is known before what was written before it.
    return before.then(
        policy, max(to_ms(one.effective_at), last.effective_ms), max(to_ms(one.activated_at), last.activated_ms)
    )
