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
    Form,
    Interaction,
    InteractionData,
    Purchase,
    PurchaseData,
    Refund,
    RefundData,
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


def buy(time: Time, amount_minor: int, order: str | None = None, currency: str = "EUR", **head: Any) -> Event:
    return Purchase(**_head(time, head), data=PurchaseData(amount_minor=amount_minor, currency=currency, order=order))


def refund(
    time: Time, amount_minor: int | None = None, order: str | None = None, currency: str | None = "EUR", **head: Any
) -> Event:
    return Refund(**_head(time, head), data=RefundData(amount_minor=amount_minor, currency=currency, order=order))


def click(time: Time, **head: Any) -> Event:
    return Click(**_head(time, head), data=ClickData())


def contact(time: Time, direction: Literal["inbound", "outbound"] = "inbound", **head: Any) -> Event:
    return Interaction(**_head(time, head), data=InteractionData(direction=direction))


def form(time: Time, **head: Any) -> Event:
    return Form(**_head(time, head))
