"""The policies that ship, and lives under them."""

from functools import cache
from pathlib import Path

from services.scorer.domain.policy import examined
from services.scorer.domain.rules import Policy
from services.scorer.domain.soundness import Finding
from tests.scorer.domain.rules.life_of import LifeOf

FOLDER = Path(__file__).parents[4] / "policies"
NAMES = ("retail", "manufacturing", "bench")


@cache
def looked_at(name: str) -> tuple[Policy, list[Finding]]:
    file = FOLDER / f"{name}.yaml"
    return examined(file.read_text("utf-8"), file.name)


def life_under(name: str) -> LifeOf:
    return LifeOf(looked_at(name)[0])
