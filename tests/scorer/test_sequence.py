"""Beginning the sequence of policies, while others may do the same."""

from collections.abc import Callable, Sequence

import msgspec
import pytest

from schemas.control import Activation
from services.scorer.domain.policy import PolicyError, compiled
from services.scorer.sequence import Book, begun, first
from services.shared.control import Overtaken
from services.shared.kafka import KafkaUnavailable
from tests.scorer.domain.full_policy import EXCERPT
from tests.scorer.engine.installation import policy_text

Following = Callable[[Sequence[Activation]], Sequence[Activation]]


class ContestedControl:
    """Another one writes first, and the broker says `told` to us."""

    def __init__(self, told: Exception) -> None:
        self._told, self._stands = told, []

    def records(self) -> list[Activation]:
        return self._stands

    def append(self, following: Following) -> Sequence[Activation]:
        self._stands = list(following([]))
        raise self._told


@pytest.mark.parametrize("told", [Overtaken("somebody else"), KafkaUnavailable("EndTxn commit failed: Unknown")])
def test_of_two_workers_that_begin_the_sequence_at_once_the_loser_goes_on_with_what_the_other_wrote(
    told: Exception,
) -> None:
    control = ContestedControl(told)
    assert [one.sequence for one in begun(control, policy_text())] == [1]  # type: ignore[arg-type]


def test_a_broker_that_is_away_is_told_of() -> None:
    class Away:
        def records(self) -> list[Activation]:
            raise KafkaUnavailable("Kafka is away")

    with pytest.raises(KafkaUnavailable):
        begun(Away(), policy_text())  # type: ignore[arg-type]


def test_a_sequence_is_not_begun_with_what_no_service_carries_out_yet() -> None:
    told = r"^shop\.yaml:49:60: checked, but not carried out yet: `to: owner`; name a queue or a person$"
    with pytest.raises(PolicyError, match=told):
        begun(ContestedControl(Overtaken("nobody")), EXCERPT, "shop.yaml")  # type: ignore[arg-type]


def test_what_stands_on_the_topic_is_followed_whoever_carries_it_out() -> None:
    one = first(policy_text())
    stands = msgspec.structs.replace(one, text=EXCERPT, policy="retail", digest=compiled(EXCERPT).digest)
    assert len(Book([stands]).policies.newest.pending) == 8
