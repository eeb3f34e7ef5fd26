"""Which core the tests are asked of: a run that means the compiled one must not pass on the sources beside it."""

import os

from services.scorer.domain import life


def test_a_run_for_the_compiled_core_has_it():
    if os.environ.get("CORE") == "compiled":
        assert not life.__file__.endswith(".py")
