"""A history out of a file: events, or rows of purchases. It is read into a `Spill`."""

import gzip
import lzma
import re
from codecs import BOM_UTF8
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import BinaryIO, cast
from zoneinfo import ZoneInfo

import msgspec

from schemas import instants, money
from schemas.problems import Refused
from schemas.unreadable import UNREADABLE
from services.analyst.backtest.spill import Spill
from services.analyst.calibration import purchases
from services.analyst.calibration.purchases import Unreadable
from services.analyst.script import ACTIONS
from services.scorer.domain.instants import to_ms

Told = Callable[[int], None]
"""Hears how much more has been read: bytes of a file, records of a topic."""


class _Key(msgspec.Struct):
    subject: str = ""
    time: str | None = None
    receivedtime: str | None = None


_keys = msgspec.json.Decoder(_Key)
_ROW = re.compile(rb"[^\s,{\[]+[\s,]+[0-9]{4}-?[0-9]{2}-?[0-9]{2}[\s,]")
_PACKERS = (".xz", ".gz")
_PACKED = 8  # how much smaller events are when packed, about


def size(file: Path) -> int:
    """Bytes of the file, as it is read; an estimate if it is packed. Unreadable if it is not there."""
    try:
        return file.stat().st_size * (_PACKED if file.suffix in _PACKERS else 1)
    except OSError as error:
        raise Unreadable(f"{file} cannot be read: {error.strerror}") from error


def from_file(file: Path, spill: Spill, told: Told) -> None:
    """Events one a line, as they are posted or as they stand on topic `events`; `.xz` and `.gz` are unpacked.

    What stands on the topic arrived when ingest received it, what is posted when it happened. Unreadable.
    """
    try:
        with _opened(file) as lines:
            for line in lines:
                told(len(line))
                if text := line.strip().removeprefix(BOM_UTF8):
                    spill.put(*_key(text), text)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise Unreadable(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def likeness(file: Path) -> str:
    """What a file without any event that can be taken seems to be, by its first line with something in it."""
    with _opened(file) as lines:
        first = next((text for line in lines if (text := line.strip().removeprefix(BOM_UTF8))), b"")
    if not first:
        return "is empty"
    if _ROW.match(first):
        return "seems to be rows of purchases, which --cdnow reads"
    try:
        told = msgspec.json.decode(first)
    except UNREADABLE:
        return "seems to be no NDJSON: its first line is no JSON object"
    if not isinstance(told, dict):
        return "seems to be no NDJSON: its first line is no JSON object"
    if "at" in told and any(action in told for action in ACTIONS):
        return "seems to be a script for `tierline simulate`"
    return "has no event that can be taken"


def from_rows(file: Path, spill: Spill, told: Told) -> None:
    """Purchases as CDNOW has them, `customer date [items] amount` a line, in US dollars, at noon UTC. Unreadable."""
    book = purchases.read(file, ZoneInfo("UTC"))
    told(size(file))
    for number, order in enumerate(book.orders, start=1):
        noon = datetime.combine(date.fromordinal(order.day), time(12, tzinfo=UTC))
        event = {
            "id": str(number),
            "source": file.name,
            "type": "purchase",
            "subject": order.customer,
            "time": noon.isoformat(),
            "amount": money.to_major(order.amount, book.digits),
            "currency": book.currency,
        }
        spill.put(order.customer.encode(), to_ms(noon), msgspec.json.encode(event))


def _opened(file: Path) -> BinaryIO:
    if file.suffix == ".xz":
        return cast(BinaryIO, lzma.open(file))
    return cast(BinaryIO, gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _key(text: bytes) -> tuple[bytes, int]:
    try:
        key = _keys.decode(text)
        written = key.receivedtime or key.time
        at = instants.LATEST if written is None else instants.instant(written)
        return key.subject.encode(), to_ms(at) if at < instants.LATEST else -1
    except (msgspec.MsgspecError, Refused, UnicodeError, RecursionError):
        return b"", -1
