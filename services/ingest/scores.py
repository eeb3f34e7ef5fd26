"""The score of feedback: decimal text on the wire, hundredths inside, on the scale of its kind."""

import re

from schemas.events import FeedbackKind
from schemas.problems import INVALID_SCORE, Refused

SCALES: dict[FeedbackKind, tuple[int, int]] = {"rating": (1, 5), "nps": (0, 10)}
"""Lowest and highest score of each kind that has one."""

_DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]{1,2}))?")
_LONGEST = 8  # no score needs more; a million digits are not read


def to_centi(text: str, kind: FeedbackKind) -> int:
    """`4.5` -> 450. Refused if it is no plain decimal of two decimals at most, or not on the scale of `kind`."""
    if kind not in SCALES:
        raise Refused(INVALID_SCORE, f"a {kind} has no score")
    parts = _DECIMAL.fullmatch(text) if len(text) <= _LONGEST else None
    if parts is None:
        raise Refused(INVALID_SCORE, f"{text[:40]!r} is not a plain decimal of two decimals at most")
    centi = int(parts[1]) * 100 + int((parts[2] or "").ljust(2, "0"))
    lowest, highest = SCALES[kind]
    if not lowest * 100 <= centi <= highest * 100:
        raise Refused(INVALID_SCORE, f"{text} is no {kind}, which is from {lowest} to {highest}")
    return centi
