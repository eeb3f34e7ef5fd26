"""Short hands for events in tests: `buy("2026-03-01T12:00Z", 10_00, order="A")`.

A time is ms since 1970 or ISO 8601 text with an offset. Ids count up within the process unless given.
"""

from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal

from schemas.events import (
    Click,
    ClickData,
    Event,
    Feedback,
    FeedbackData,
    FeedbackKind,
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
from tests.scorer.domain.oracle_calendar import EPOCH, to_ms

Time = int | str
SUBJECT = "c1"
_ids = count(1)


def ms(time: Time) -> int:
    return time if isinstance(time, int) else to_ms(datetime.fromisoformat(time))


def _head(time: Time, head: dict[str, Any]) -> dict[str, Any]:
    at = EPOCH + timedelta(milliseconds=ms(time))
    return {"id": f"auto-{next(_ids)}", "source": "shop", "subject": SUBJECT, "time": at} | head


def buy(
    time: Time,
    amount_minor: int,
    order: str | None = None,
    currency: str = "EUR",
    channel: str | None = None,
    **head: Any,
) -> Event:
    data = PurchaseData(amount_minor=amount_minor, currency=currency, order=order, channel=channel)
    return Purchase(**_head(time, head), data=data)


def refund(
    time: Time, amount_minor: int | None = None, order: str | None = None, currency: str | None = "EUR", **head: Any
) -> Event:
    return Refund(**_head(time, head), data=RefundData(amount_minor=amount_minor, currency=currency, order=order))


def click(time: Time, page: str | None = None, **head: Any) -> Event:
    return Click(**_head(time, head), data=ClickData(page=page))


def contact(
    time: Time, direction: Literal["inbound", "outbound"] = "inbound", channel: str | None = None, **head: Any
) -> Event:
    return Interaction(**_head(time, head), data=InteractionData(direction=direction, channel=channel))


def form(time: Time, name: str | None = None, **head: Any) -> Event:
    return Form(**_head(time, head), data=FormData(form=name))


def feedback(time: Time, kind: FeedbackKind, score_centi: int | None = None, **head: Any) -> Event:
    return Feedback(**_head(time, head), data=FeedbackData(kind=kind, score_centi=score_centi))


def stage(time: Time, name: str, opportunity: str = "o1", **head: Any) -> Event:
    return Stage(**_head(time, head), data=StageData(opportunity=opportunity, stage=name))


def profile(time: Time, **attributes: str | None) -> Event:
    return Profile(**_head(time, {}), data=ProfileData(attributes=attributes))


def override(time: Time, until: Time, dimension: str, value: str | bool | None, **head: Any) -> Event:
    ends = EPOCH + timedelta(milliseconds=ms(until))
    data = OverrideData(dimension=dimension, value=value, owner="li", reason="by hand", until=ends)
    return Override(**_head(time, head), data=data)
