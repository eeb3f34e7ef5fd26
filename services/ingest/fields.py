"""The fields of each type of event, as they are kept: one maker a type.

A maker takes the decoded fields, the path to them (`data.` or nothing) and the event's time, and gives the data to keep
and how many strings it is in the text if every field stands there once (see `Normaliser`). Refused where a value that
has the right type cannot be used.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from schemas import events, instants, intake, money
from schemas.problems import INVALID_FIELD, INVALID_UNTIL, MISSING_CURRENCY, MISSING_FIELD, Refused
from services.ingest import attributes, identifiers, scores

Maker = Callable[[Any, str, datetime], tuple[msgspec.Struct, int]]


def _text(value: str | None, field: str, longest: int = intake.MAX_IDENTIFIER) -> int:
    """How many strings it is in the text: its name and itself. Refused where an id would be."""
    if value is None:
        return 0
    if flaw := identifiers.flaw(value, longest):
        raise Refused(INVALID_FIELD, f"{field} {flaw}", field=field)
    return 2


def _absent(raw: msgspec.Raw) -> bool:
    return bytes(raw) in (b"", b"null")


def _decimal(raw: msgspec.Raw) -> tuple[str, int]:
    """A number as it is written, and how many strings that is in the text, its name included."""
    text = bytes(raw)
    return (msgspec.json.decode(text, type=str), 2) if text[:1] == b'"' else (text.decode(), 1)


def _amount(raw: msgspec.Raw, currency: str, prefix: str) -> tuple[int, int]:
    """Minor units, and how many strings the amount is in the text."""
    decimal, strings = _decimal(raw)
    try:
        decimals = money.digits(currency)
    except Refused as refused:
        refused.field = prefix + "currency"
        raise
    try:
        return money.to_minor(decimal, decimals), strings
    except Refused as refused:
        refused.field = prefix + "amount"
        raise


def _purchase(fields: Any, prefix: str, _: datetime) -> tuple[events.PurchaseData, int]:
    minor, strings = _amount(fields.amount, fields.currency, prefix)
    strings += 2 + _text(fields.order, prefix + "order") + _text(fields.channel, prefix + "channel")
    return events.PurchaseData(minor, fields.currency, fields.order, fields.channel), strings


def _refund(fields: Any, prefix: str, _: datetime) -> tuple[events.RefundData, int]:
    minor, strings = None, 0
    if not _absent(fields.amount):
        if fields.currency is None:
            raise Refused(MISSING_CURRENCY, "the amount has no currency", field=prefix + "currency")
        minor, strings = _amount(fields.amount, fields.currency, prefix)
    elif fields.order is None:
        raise Refused(MISSING_FIELD, "a refund names its order or how much it gives back", field=prefix + "order")
    elif fields.currency is not None:
        try:
            money.digits(fields.currency)
        except Refused as refused:
            refused.field = prefix + "currency"
            raise
    strings += (0 if fields.currency is None else 2) + _text(fields.order, prefix + "order")
    return events.RefundData(minor, fields.currency, fields.order), strings


def _click(fields: Any, prefix: str, _: datetime) -> tuple[events.ClickData, int]:
    if fields is None:
        return events.ClickData(), 0
    strings = _text(fields.page, prefix + "page", intake.MAX_TEXT) + _text(fields.channel, prefix + "channel")
    return events.ClickData(fields.page, fields.channel), strings


def _interaction(fields: Any, prefix: str, _: datetime) -> tuple[events.InteractionData, int]:
    if fields is None:
        return events.InteractionData(), 0
    strings = _text(fields.channel, prefix + "channel") + (0 if fields.direction is None else 2)
    return events.InteractionData(fields.channel, fields.direction or "inbound"), strings


def _form(fields: Any, prefix: str, _: datetime) -> tuple[events.FormData, int]:
    if fields is None:
        return events.FormData(), 0
    strings = _text(fields.form, prefix + "form") + _text(fields.channel, prefix + "channel")
    return events.FormData(fields.form, fields.channel), strings


def _feedback(fields: Any, prefix: str, _: datetime) -> tuple[events.FeedbackData, int]:
    centi, strings = None, 2
    if not _absent(fields.score):
        written, more = _decimal(fields.score)
        strings += more
        try:
            centi = scores.to_centi(written, fields.kind)
        except Refused as refused:
            refused.field = prefix + "score"
            raise
    elif fields.kind in scores.SCALES:
        raise Refused(MISSING_FIELD, f"a {fields.kind} has a score", field=prefix + "score")
    strings += _text(fields.channel, prefix + "channel")
    return events.FeedbackData(fields.kind, centi, fields.channel), strings


def _stage(fields: Any, prefix: str, _: datetime) -> tuple[events.StageData, int]:
    strings = _text(fields.opportunity, prefix + "opportunity") + _text(fields.stage, prefix + "stage")
    return events.StageData(fields.opportunity, fields.stage), strings


def _profile(fields: Any, prefix: str, _: datetime) -> tuple[events.ProfileData, int]:
    attributes.check(fields.attributes, prefix + "attributes")
    strings = 1 + sum(1 if value is None else 2 for value in fields.attributes.values())
    return events.ProfileData(fields.attributes), strings


def _override(fields: Any, prefix: str, time: datetime) -> tuple[events.OverrideData, int]:
    strings = 3 + _text(fields.dimension, prefix + "dimension") + _text(fields.owner, prefix + "owner")
    strings += _text(fields.reason, prefix + "reason", intake.MAX_REASON)
    if isinstance(fields.value, str):
        strings += _text(fields.value, prefix + "value") - 1
    try:
        until = instants.instant(fields.until)
    except Refused as refused:
        raise Refused(INVALID_UNTIL, refused.detail, field=prefix + "until") from None
    if until <= time:
        raise Refused(INVALID_UNTIL, f"{fields.until!r} is not later than the event's time", field=prefix + "until")
    return events.OverrideData(fields.dimension, fields.value, fields.owner, fields.reason, until), strings


MAKERS: dict[str, tuple[Callable[..., events.Event], Maker]] = {
    "purchase": (events.Purchase, _purchase),
    "refund": (events.Refund, _refund),
    "click": (events.Click, _click),
    "interaction": (events.Interaction, _interaction),
    "form": (events.Form, _form),
    "feedback": (events.Feedback, _feedback),
    "stage": (events.Stage, _stage),
    "profile": (events.Profile, _profile),
    "override": (events.Override, _override),
}
