"""The short set of the fault harness: what is committed is exact after each, and each has bitten."""

import pytest

from tests.faults.catalogue import SHORT
from tests.faults.scenario import Scenario, run
from tests.faults.stage import Options
from tests.fixtures.broker import Broker

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(("fault", "records", "times"), [pytest.param(*one, id=one[0].name) for one in SHORT])
async def test_what_is_committed_is_exact_after(kafka: Broker, fault: type[Scenario], records: int, times: int) -> None:
    scenario = fault(times)
    result = await run(scenario, kafka, Options(records=records))
    if result.skipped is not None:
        pytest.skip(result.skipped)
    assert result.passed, "\n".join(result.problems)
    assert result.times >= times
    assert result.records >= records
    assert result.checked > 0, "nobody was held against the naive oracle"
