"""Every fault there is, in the order it is played, and the short set. A new one goes into scenarios/ and this list."""

from tests.faults.scenario import Scenario
from tests.faults.scenarios.activations import ActivationsInFlight
from tests.faults.scenarios.broker import BrokerAway, BrokerGoneAtStart, BrokerKilled
from tests.faults.scenarios.changelog import Compacted
from tests.faults.scenarios.clocks import ClockSteps
from tests.faults.scenarios.database import PostgresAway
from tests.faults.scenarios.disk import DiskFull, FilesLimited
from tests.faults.scenarios.files import FilesWiped
from tests.faults.scenarios.freezing import Frozen, TakeoverInCommit
from tests.faults.scenarios.kills import (
    KillsAfterCommit,
    KillsAfterOffsets,
    KillsAfterProduce,
    KillsInCommit,
    TwelveKills,
)
from tests.faults.scenarios.merges import MergesInFlight
from tests.faults.scenarios.offsets import OffsetsGone
from tests.faults.scenarios.rebalance import JoinAndLeave, ScaleOut

ALL: tuple[type[Scenario], ...] = (
    KillsAfterProduce,
    KillsAfterOffsets,
    KillsInCommit,
    KillsAfterCommit,
    TwelveKills,
    Frozen,
    TakeoverInCommit,
    JoinAndLeave,
    ScaleOut,
    OffsetsGone,
    FilesWiped,
    Compacted,
    ActivationsInFlight,
    MergesInFlight,
    ClockSteps,
    PostgresAway,
    BrokerKilled,
    BrokerAway,
    BrokerGoneAtStart,
    DiskFull,
    FilesLimited,
)

SHORT: tuple[tuple[type[Scenario], int, int], ...] = (
    (TakeoverInCommit, 2_000, 1),
    (FilesWiped, 2_000, 1),
    (Compacted, 2_000, 1),
    (PostgresAway, 2_000, 1),
)
"""What `make test` plays, with how many records and how often. Workers killed at each step of a batch, frozen, that
join, leave and die under load, a broker that is killed and offsets that are gone are there already
(tests/scorer/engine). A full disk is not: whether so short a run meets it in a transaction is a matter of luck."""
