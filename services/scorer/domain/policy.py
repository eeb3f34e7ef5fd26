"""A policy's text, compiled: everything beyond the document's shape is checked, each refusal with its place.

`parse` is the way in. What can be compiled but makes no sense is found by `soundness.py`.
"""

from functools import cache
from hashlib import sha256
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from schemas import policy as shape
from schemas.money import DIGITS
from services.scorer.domain import codes
from services.scorer.domain.calibration import Calibration
from services.scorer.domain.conditions import Conditions
from services.scorer.domain.definitions import Definitions
from services.scorer.domain.dimensions import Dimensions
from services.scorer.domain.document import Document, PolicyError, nearest, read
from services.scorer.domain.expressions import CALIBRATED, KEYWORDS
from services.scorer.domain.features import (
    Attribute,
    Feature,
    KnownFor,
    Stage,
    Tenure,
    wheres_of,
)
from services.scorer.domain.lowering import Thresholds
from services.scorer.domain.pending import pending
from services.scorer.domain.playbooks import playbooks, span_ms
from services.scorer.domain.rates import prices, unknown_currency
from services.scorer.domain.rules import Dimension, Playbook, Policy, Rule
from services.scorer.domain.scorecards import scorecards
from services.scorer.domain.soundness import Finding, faults
from services.scorer.domain.where import ALWAYS_KEPT

__all__ = ["Dimension", "Playbook", "Policy", "PolicyError", "Rule", "compiled", "examined", "parse", "span_ms"]

_NO_ZONES = {"localtime", "posixrules", "Factory"}  # files among the zones that say what the machine says, or nothing

BUILT_IN: dict[str, Feature] = {"tenure": Tenure(), "known_for": KnownFor()}


def parse(text: str, source: str = "policy.yaml") -> Policy:
    """The policy of a YAML text; PolicyError, one line, where it is not one or says what is provably false."""
    policy, findings = examined(text, source)
    for finding in findings:
        if finding.severity == "refuse":
            raise PolicyError(str(finding))
    return policy


def examined(text: str, source: str = "policy.yaml") -> tuple[Policy, list[Finding]]:
    """The policy beside all that is to be said of its sense; PolicyError where it is not a policy."""
    document = read(text, source)
    policy = _Compiler(document).policy()
    return policy, faults(policy, document)


def compiled(text: str, source: str = "policy.yaml") -> Policy:
    """The policy, whether or not it makes sense: one activated long ago, or drawn at random. PolicyError if none."""
    return _Compiler(read(text, source)).policy()


class _Compiler:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._shape = document.policy

    def policy(self) -> Policy:
        doc, digits, zone = self._shape, self._minor_digits(), self._zone()
        calibration = Calibration(self._document, doc.currency, digits)
        self._check_names()
        defined = Definitions(self._document, calibration).all()
        attributes = {name: Attribute(name) for name in doc.attributes}
        named = defined | BUILT_IN | attributes | scorecards(self._document, defined, digits)
        unasked = dict.fromkeys(doc.segments, "a segment") | dict.fromkeys(doc.classes, "a list of classes")
        unasked |= dict.fromkeys(doc.ladders, "a ladder")
        conditions = Conditions(named, doc.currency, digits, calibration.top_spend, unasked)
        thresholds = Thresholds()
        dimensions = Dimensions(self._document, conditions, thresholds).all()
        followed = playbooks(self._document, dimensions, conditions)
        codes.check(self._document)
        asked = {t.operand.feature.name for t in [*thresholds.all, *(t for p in followed for t in p.thresholds)]}
        features = tuple(f for name, f in named.items() if name not in BUILT_IN or name in asked)
        return Policy(
            name=doc.policy,
            digest=_digest(doc),
            currency=doc.currency,
            minor_digits=digits,
            zone=zone,
            prices=prices(self._document, zone),
            features=features,
            thresholds=thresholds.all,
            dimensions=dimensions,
            playbooks=followed,
            fields=_fields(features),
            top_spend=calibration.top_spend,
            document=doc,
            pending=pending(self._document),
        )

    def _minor_digits(self) -> int:
        currency = self._shape.currency
        if currency not in DIGITS:
            self._document.place("currency").refuse(unknown_currency(currency))
        return DIGITS[currency]

    def _zone(self) -> ZoneInfo:
        """Not one that is another on another machine, nor one that may be missing there."""
        try:
            if self._shape.zone in _NO_ZONES or self._shape.zone.startswith(("posix/", "right/")):
                raise ValueError
            return ZoneInfo(self._shape.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            near = _near_zone(self._shape.zone) or "write one as Europe/Berlin or UTC"
            self._document.place("zone").refuse(f"{self._shape.zone!r} is not an IANA time zone; {near}")

    def _check_names(self) -> None:
        """Whatever a condition can name has a name of its own."""
        doc = self._shape
        taken = dict.fromkeys(BUILT_IN, "built in") | dict.fromkeys([*KEYWORDS, CALIBRATED], "a word of the language")
        names = [(self._document.key("features", name), name, "a feature") for name in doc.features]
        names += [
            (self._document.place("attributes", i), name, "an attribute") for i, name in enumerate(doc.attributes)
        ]
        names += [(self._document.key("scorecards", name), name, "a scorecard") for name in doc.scorecards]
        for place, name, what in names:
            if name in taken:
                place.refuse(f"{name!r} cannot name {what}: it is {taken[name]}; choose another name")
            taken[name] = f"{what} already"


def _near_zone(name: str) -> str:
    zones = _zones()
    city = name.rpartition("/")[2].strip().replace(" ", "_").lower()
    return f"did you mean {zones[city]!r}?" if city in zones else nearest(name, zones.values(), 0.8)


@cache
def _zones() -> dict[str, str]:
    """Those of places, by the place, and UTC: 'Etc/GMT+8' and its like are eight hours the other way."""
    names = [zone for zone in sorted(available_timezones() - _NO_ZONES) if not any(map(str.isdigit, zone))]
    return {zone.rpartition("/")[2].lower(): zone for zone in names} | {"beijing": "Asia/Shanghai"}


def _fields(features: tuple[Feature, ...]) -> frozenset[str]:
    """The event fields that entries must keep for these features."""
    fields = {name for where in wheres_of(features) for name in where.names}
    if any(isinstance(feature, Stage) for feature in features):
        fields |= {"opportunity", "stage"}
    return frozenset(fields - ALWAYS_KEPT)


def _digest(document: shape.Policy) -> str:
    decides = msgspec.structs.replace(document, playbooks=[], holdout=None, code=None)
    return sha256(msgspec.json.encode(decides)).hexdigest()[:16]
