"""What waits of topic transfers: it lets others pass, and rests."""

import asyncio
import time
from datetime import timedelta
from itertools import count

from schemas.identities import Erasure, Merge
from services.scorer.domain.packing import encode
from services.scorer.domain.state import Customer, Joined
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.relating import Rounds
from services.scorer.engine.transfers import Forwarded, Moved, pieces
from tests.scorer.engine.installation import now
from tests.scorer.engine.memory import POLICIES, Log, actor
from tests.waiting import until


async def test_what_waits_and_lets_others_pass_does_not_fill_the_topic_meanwhile() -> None:
    # Two merges into b come before b's erasure, whose time has not come: each lets the other pass, round and round.
    kinship, later = Kinship(1), now() + timedelta(hours=1)
    kinship.learn(Erasure(sequence=1, at=later, subject="b"))
    for sequence, other in ((2, "c"), (3, "d")):
        kinship.learn(Merge(sequence=sequence, at=later, from_=other, into="b"))
    record = encode(Customer.new(POLICIES))
    moved = [Moved(n, "b", other, 0, record, Joined("b", {})) for n, other in ((2, "c"), (3, "d"))]
    log, loop, passed_s, offsets = Log(), asyncio.get_running_loop(), [], count()
    async with actor(log, kinship=kinship) as partition:

        def send_again() -> None:
            for _, _, value in log.turns[-1].transfers:
                passed_s.append(time.monotonic())
                loop.call_soon_threadsafe(partition.transferred, next(offsets), value)

        log.on_commit = send_again
        for one in moved:
            for value in pieces(one):
                partition.transferred(next(offsets), value)
        await until(lambda: len(passed_s) >= 10, within=30)
        assert passed_s[9] - passed_s[0] > 1, "0.1 s after the first round, then twice as long after each"


def test_a_round_rests_once_it_comes_round_and_begins_anew_when_something_happens() -> None:
    rounds, one, other = Rounds(), Forwarded("b", b"{}", 9, 1, 4), Forwarded("b", b"{}", 9, 1, 5)
    for now_s, rest_s in ((0.0, 0.1), (0.11, 0.2), (0.32, 0.4)):
        assert not rounds.rests(one, now_s)
        rounds.passed_on(one)
        assert not rounds.rests(other, now_s)
        rounds.passed_on(other)
        assert rounds.rests(one, now_s)
        assert rounds.rests(other, now_s + rest_s - 0.01)
    rounds.begin_anew()
    assert not rounds.rests(one, 0.33)
