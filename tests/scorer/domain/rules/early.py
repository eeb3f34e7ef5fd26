"""Folding (rule 4) after few events, so that a short history shows what a long one does."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.scorer.domain import folding, scoring, short, turns
from services.scorer.domain.ledger import SIZE


@contextmanager
def folded_early() -> Iterator[None]:
    """Ledgers are folded from eight entries on, and four stay whole."""
    if not scoring.__file__.endswith(".py"):
        pytest.skip("a compiled core has its bounds built in")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CAP": 8, "KEPT": 4, "_STEP": 4}.items():
            patch.setattr(folding, name, value)
        patch.setattr(turns, "FEWEST", 0)
        patch.setattr(short, "_CAP_BYTES", 8 * SIZE)
        yield
