"""A policy's text with another calibration in the place of its own; everything else stays as it was written."""

import re

import msgspec

from schemas.policy import Calibration
from services.analyst.calibration.notation import as_yaml
from services.scorer.domain import document

_SECTION = re.compile(r"^calibration:[^\n]*\n(?:(?:[ \t#][^\n]*)?\n)*(?:[ \t#][^\n]*\Z)?", re.MULTILINE)
_HEADING = re.compile(r"^calibration:", re.MULTILINE)


def recalibrated(policy: str, calibration: str) -> str:
    """`calibration` is a document with that one section, as `tierline fit` writes it. ValueError if it is not."""
    heading = _HEADING.search(calibration)
    if heading is None:
        raise ValueError("it has no section `calibration:`; `tierline fit --out` writes one")
    section = calibration[heading.start() :].rstrip() + "\n"
    if re.search(r"^[^\s#]", section.partition("\n")[2], re.MULTILINE):
        raise ValueError("it has other sections than `calibration:`")
    found = _SECTION.search(policy)
    if found is None:
        return policy.rstrip() + "\n" + section
    return policy[: found.start()] + section + policy[found.end() :]


def completed(policy: str, source: str, before: Calibration) -> tuple[str, list[str]]:
    """The policy with the parts of another calibration that its own lacks, and their names; PolicyError if it is none.

    A fit leaves out what must not be used of it: that is no reason to go without what was used before.
    """
    own = msgspec.structs.asdict(document.read(policy, source).policy.calibration)
    lacking = {name: part for name, part in msgspec.structs.asdict(before).items() if part and not own[name]}
    if not lacking:
        return policy, []
    return recalibrated(policy, as_yaml(Calibration(**own | lacking))), list(lacking)
