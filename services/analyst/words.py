"""Figures and instants in words, for people at a terminal."""

from datetime import UTC, datetime

from schemas.decisions import Condition, Figure, Value
from schemas.explanations import Unit

_SPANS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1))


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and Z, whatever the offset was."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def span(ms: int) -> str:
    """The two largest parts that are not zero: `12 d 4 h`; what follows them is cut."""
    sign, left, parts = ("-" if ms < 0 else ""), abs(ms), []
    for unit, length in _SPANS:
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count:,} {unit}")
    return sign + " ".join(parts[:2]) if parts else "0 ms"


def figure(value: Figure, unit: Unit, currency: str) -> str:
    """A feature's value with its unit; `unknown` while it is."""
    if value is None:
        return "unknown"
    if unit == "duration" and isinstance(value, int):
        return span(value)
    if unit == "money":
        return f"{grouped(str(value))} {currency}"
    if isinstance(value, str):
        return f"'{value}'"
    return f"{value:,}"


def grouped(decimal: str) -> str:
    """`1200000.50` as `1,200,000.50`."""
    whole, point, part = decimal.partition(".")
    return f"{int(whole):,}{point}{part}" if whole not in ("-0", "") else decimal


def position(value: Value) -> str:
    """A tier's or class's name; of a segment or churn whether it holds."""
    return value if isinstance(value, str) else ("yes" if value else "no")


def counted(number: int, noun: str) -> str:
    """`1 event`, `2 events`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def compared(condition: Condition, unit: Unit, currency: str, width: int = 0) -> str:
    """`✓ spend_1y >= 1_000_000`, padded to `width`, what it was, how much is missing, and what it rests on."""
    said = figure(condition.value, unit, currency)
    if condition.short_by is not None:
        said += f", {figure(condition.short_by, unit, currency)} short"
    if condition.entries:
        said += f", from {counted(condition.entries, 'event')}"
    if condition.unpriced:
        said += f", {condition.unpriced} of them without a rate"
    if condition.bound:
        said += f", at most {condition.bound} too many"
    return f"{mark(condition.holds)} {condition.text:{width}}  {said}"


def mark(holds: bool) -> str:
    return "✓" if holds else "✗"
