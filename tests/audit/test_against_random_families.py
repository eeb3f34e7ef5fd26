"""Random histories of several subjects under random policies, played in the order of their arrival, then audited: late
and doubled events, refunds, conflicts, overrides, policies that begin in between."""

import msgspec
from hypothesis import given, settings

from schemas.identities import Identity
from services.audit.auditor import Auditor
from services.audit.dossier import Came, Done, Held, Paper
from services.audit.tally import Tally
from services.scorer.domain.instants import to_datetime
from services.shared.identities import Directory
from tests.scorer.domain.playing_families import PlayedFamily
from tests.scorer.domain.strategies import Logged
from tests.scorer.domain.strategies_families import Deed, Family, families
from tests.scorer.domain.strategies_policies import REAL, TOY

_encode = msgspec.json.Encoder().encode


class Recorded(PlayedFamily):
    """What stands on the topics of such a history; the oracle is not asked."""

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self.papers: list[Paper] = []
        self.directory = Directory()
        self.into: dict[str, str] = {}

    def arrive(self, logged: Logged) -> None:
        key, at_ms = logged.event.subject.encode(), logged.appended_ms
        self.papers.append(Came(0, self.place, at_ms, at_ms, key, _encode(logged.event)))
        super().arrive(logged)

    def do(self, deed: Deed) -> None:
        before = dict(self.life.merged_into)
        super().do(deed)
        operation: Identity | None = None
        if deed.what == "erase":
            operation = self.directory.erase(deed.one, to_datetime(self.now))
        elif self.life.merged_into != before:
            following = self.directory.merge if deed.what == "merge" else self.directory.unmerge
            operation = following(
                deed.one, deed.other if deed.what == "merge" else before[deed.one], to_datetime(self.now)
            )
        if operation is not None:
            self.directory.take(operation)
            self.papers.append(Done(operation))

    def check(self) -> None:
        pass

    def held(self) -> list[Paper]:
        return [Held(name, record, self.directory._into.get(name)) for name, record in self.records.items()]


@settings(max_examples=100, deadline=None)
@given(families(TOY) | families(REAL))
def test_a_state_played_in_order_of_arrival_agrees_with_one_played_in_order_of_time(family: Family) -> None:
    played = Recorded(family)
    for at, what, pause in family.acts:
        played.act(what, at, at + pause)
    tally = Tally()
    Auditor(played.policies, 1, max(family.end_ms, played.now)).family([*played.papers, *played.held()], tally)
    assert tally.findings == []
    assert tally.customers["agrees"] + tally.customers["inexact"] == tally.looked_at
