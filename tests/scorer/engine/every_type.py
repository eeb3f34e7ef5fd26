"""One event of each type, and a policy under which each of them alone decides something."""

from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.decisions import Value
from schemas.events import (
    Click,
    ClickData,
    Event,
    Feedback,
    FeedbackData,
    Form,
    FormData,
    Interaction,
    InteractionData,
    Override,
    OverrideData,
    Profile,
    ProfileData,
    Purchase,
    PurchaseData,
    Refund,
    RefundData,
    Stage,
    StageData,
)

TEXT = """
policy: every_type
currency: EUR
zone: UTC
attributes: [region]
features:
  spend:   {sum: purchase.amount, minus: refund.amount}
  looks:   {count: click, where: "page == 'pricing'"}
  outward: {count: interaction, where: "direction == 'outbound'"}
  forms:   {count: form, where: "form == 'contact'"}
  rating:  {mean: feedback.score, where: "kind == 'rating'"}
  journey: {stage: opportunity}
ladders:
  tier:    [{name: gold, when: "spend >= 100"}, {name: basic}]
  support: [{name: phone, when: "spend >= 100"}, {name: mail}]
classes:
  phase:
    - {name: won,  when: "journey == 'closed'"}
    - {name: open, when: "journey in ['offer', 'talks']"}
    - {name: none}
segments:
  curious: "looks >= 1"
  called:  "outward >= 1"
  asked:   "forms >= 1"
  unhappy: "rating < 3"
  local:   "region == 'north'"
"""


class Expected(NamedTuple):
    """What one event decides: the position taken, why, and the topic it is announced on."""

    dimension: str
    after: Value
    cause: str
    topic: str | None


EXPECTED = {
    "purchase": [Expected("tier", "gold", "event", "tier-changes"), Expected("support", "phone", "event", None)],
    "refund": [Expected("tier", "basic", "refund", "tier-changes"), Expected("support", "mail", "refund", None)],
    "click": [Expected("curious", True, "event", "segment-changes")],
    "interaction": [Expected("called", True, "event", "segment-changes")],
    "form": [Expected("asked", True, "event", "segment-changes")],
    "feedback": [Expected("unhappy", True, "event", "segment-changes")],
    "stage": [Expected("phase", "open", "event", "segment-changes")],
    "profile": [Expected("local", True, "event", "segment-changes")],
    "override": [Expected("tier", "gold", "manual", "tier-changes")],
}
"""By the event's type, which is its id too."""


def every_type(subject: str, began: datetime) -> list[Event]:
    """In the order of EXPECTED, a second apart."""
    until = began + timedelta(days=365)
    by_hand = OverrideData(dimension="tier", value="gold", owner="li", reason="contract", until=until)
    made = [
        (Purchase, PurchaseData(amount_minor=10_000, currency="EUR", order="o1")),
        (Refund, RefundData(order="o1")),
        (Click, ClickData(page="pricing")),
        (Interaction, InteractionData(channel="phone", direction="outbound")),
        (Form, FormData(form="contact")),
        (Feedback, FeedbackData(kind="rating", score_centi=200)),
        (Stage, StageData(opportunity="deal", stage="offer")),
        (Profile, ProfileData(attributes={"region": "north"})),
        (Override, by_hand),
    ]
    return [
        type_(  # type: ignore[arg-type]
            id=name,
            source="test",
            subject=subject,
            time=began + timedelta(seconds=n),
            receivedtime=began + timedelta(seconds=n),
            data=data,
        )
        for n, (name, (type_, data)) in enumerate(zip(EXPECTED, made, strict=True))
    ]
