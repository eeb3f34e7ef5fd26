"""The core must equal the naive oracle, path included, however the log comes and whenever timers fire.

HYPOTHESIS_PROFILE=deep plays thousands of examples; without it a few hundred, in well under half a minute.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scorer.domain.playing import play
from tests.scorer.domain.strategies import DAY, Script, scripts

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
THOROUGH = settings(
    max_examples=20_000 if DEEP else 300,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
pytestmark = pytest.mark.timeout(0 if DEEP else 120)


@THOROUGH
@given(scripts(), st.lists(st.sampled_from([0, 1, 3_600_000, DAY, 45 * DAY]), max_size=2))
def test_the_core_is_the_oracle(script: Script, ahead: list[int]) -> None:
    for life in play(script):
        for wait in ahead:
            life.check_explanation(life.now + wait)
