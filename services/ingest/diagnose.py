"""What is wrong with an event that the decoder did not take: the slow path, taken for bad events only.

Each check raises Refused with the problem, the field as a dotted path and what was found. The order is that of what
helps most: a misspelt field is named as such before the field it was meant to be is reported missing.
"""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal, NoReturn, get_args

import msgspec

from schemas import intake
from schemas.events import EVENT_TYPES
from schemas.problems import (
    INVALID_AMOUNT,
    INVALID_ATTRIBUTE,
    INVALID_FIELD,
    INVALID_ID,
    INVALID_SCORE,
    INVALID_SUBJECT,
    INVALID_TIME,
    INVALID_UNTIL,
    MALFORMED_BODY,
    MISSING_CURRENCY,
    MISSING_FIELD,
    MISSING_SUBJECT,
    NOT_AN_EVENT,
    TOO_DEEP,
    UNKNOWN_FIELD,
    UNKNOWN_TYPE,
    UNSUPPORTED_SPECVERSION,
    Refused,
)
from services.ingest import attributes, identifiers

_ATTRIBUTES = ("type", *(field.name for field in msgspec.structs.fields(intake.Attributes)))
_CHOICES = {"direction": get_args(get_args(intake.Direction)[0]), "kind": get_args(get_args(intake.FeedbackKind)[0])}
_LONGEST = {"page": intake.MAX_TEXT, "reason": intake.MAX_REASON}
_NO_DATA_NEEDED = ("click", "interaction", "form")
_AT = re.compile(r"(.*) - at `\$\.?(.*)`")


class _Number(str):
    """A JSON number as it was written."""


def read(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`; numbers are _Number. Refused if it isn't one, or names a member twice."""
    try:
        item = json.loads(
            raw.decode(),
            object_pairs_hook=_object,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_not_json,
        )
        json.dumps(item, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise Refused(MALFORMED_BODY, f"byte {error.start} is not UTF-8") from None
    except UnicodeEncodeError:
        raise Refused(MALFORMED_BODY, "a string holds half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise Refused(MALFORMED_BODY, str(error)) from None
    except RecursionError:
        raise Refused(TOO_DEEP, "the event is nested too deeply") from None
    if not isinstance(item, dict):
        raise Refused(NOT_AN_EVENT, f"an event is a JSON object, this is {_kind(item)}")
    return item


def refuse_repeated(raw: bytes) -> None:
    """Refused if an object in `raw` names a member twice."""
    read(raw)


def check(item: Mapping[str, Any], *, declared: bool) -> bool:
    """Whether `item` is to be read as a CloudEvent, as `declared` or by its `specversion`; Refused if it is bad."""
    kind = _string(item, "type", MISSING_FIELD)
    if kind not in EVENT_TYPES:
        raise Refused(UNKNOWN_TYPE, f"{kind[:64]!r} is no type of event{_meant(kind, EVENT_TYPES)}", field="type")
    is_cloud_event = declared or "specversion" in item
    if is_cloud_event and _string(item, "specversion", MISSING_FIELD) != "1.0":
        raise Refused(UNSUPPORTED_SPECVERSION, f"specversion is {item['specversion'][:64]!r}", field="specversion")
    for name, missing, invalid in (
        ("id", MISSING_FIELD, INVALID_ID),
        ("source", MISSING_FIELD, INVALID_ID),
        ("subject", MISSING_SUBJECT, INVALID_SUBJECT),
    ):
        if flaw := identifiers.flaw(_string(item, name, missing)):
            raise Refused(invalid, f"{name} {flaw}", field=name)
    if not isinstance(item.get("time"), str | None) or isinstance(item.get("time"), _Number):
        raise Refused(INVALID_TIME, f"time is {_kind(item['time'])}, not a string", field="time")
    if is_cloud_event:
        _check_fields(kind, _data(item, kind), "data.")
    else:
        _check_fields(kind, {name: value for name, value in item.items() if name not in _ATTRIBUTES}, "")
    return is_cloud_event


def of_decoder(error: msgspec.MsgspecError) -> Refused:
    """What the decoder found, as a problem."""
    if not isinstance(error, msgspec.ValidationError):
        return Refused(MALFORMED_BODY, str(error))
    at = _AT.fullmatch(str(error))
    return Refused(INVALID_FIELD, at[1], field=at[2] or None) if at else Refused(INVALID_FIELD, str(error))


def _data(item: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    if item.get("data_base64") is not None:
        raise Refused(INVALID_FIELD, "data_base64 is not read, send JSON in data", field="data_base64")
    data = item.get("data")
    if data is None:
        if kind in _NO_DATA_NEEDED:
            return {}
        raise Refused(MISSING_FIELD, f"{_one(kind)} has data", field="data")
    if not isinstance(data, dict):
        raise Refused(INVALID_FIELD, f"data is {_kind(data)}, not a JSON object", field="data")
    return data


def _check_fields(kind: str, fields: Mapping[str, Any], prefix: str) -> None:
    known = {field.name: field for field in msgspec.structs.fields(intake.FIELDS[kind])}
    for name in fields:
        if name not in known:
            if name == "data" and not prefix:
                hint = '; an event with data is a CloudEvent: add "specversion": "1.0"'
            else:
                hint = _meant(name, known) or f"; its fields are {', '.join(known)}"
            raise Refused(UNKNOWN_FIELD, f"{kind} has no field {name[:64]!r}{hint}", field=prefix + name[:64])
    for name, field in known.items():
        if fields.get(name) is not None:
            _check_value(name, fields[name], prefix + name)
        elif field.required and not (name == "value" and name in fields):  # where null is a value
            problem = MISSING_CURRENCY if name == "currency" else MISSING_FIELD
            raise Refused(problem, f"{_one(kind)} has a field {name}", field=prefix + name)


def _check_value(name: str, value: object, field: str) -> None:
    if name in ("amount", "score"):
        if not isinstance(value, str):
            problem = INVALID_AMOUNT if name == "amount" else INVALID_SCORE
            raise Refused(problem, f"{name} is {_kind(value)}", field=field)
    elif name in _CHOICES:
        if value not in _CHOICES[name]:
            raise Refused(INVALID_FIELD, f"{name} is {' or '.join(_CHOICES[name])}", field=field)
    elif name == "attributes":
        _check_attributes(value, field)
    elif name == "value" and isinstance(value, bool):
        return
    elif isinstance(value, _Number) or not isinstance(value, str):
        problem = INVALID_UNTIL if name == "until" else INVALID_FIELD
        raise Refused(problem, f"{name} is {_kind(value)}, not a string", field=field)
    elif name not in ("currency", "until") and (
        flaw := identifiers.flaw(value, _LONGEST.get(name, intake.MAX_IDENTIFIER))
    ):
        raise Refused(INVALID_FIELD, f"{name} {flaw}", field=field)


def _check_attributes(value: object, field: str) -> None:
    if not isinstance(value, dict):
        raise Refused(INVALID_ATTRIBUTE, f"attributes is {_kind(value)}, not an object", field=field)
    for name, text in value.items():
        if isinstance(text, _Number) or not isinstance(text, str | None):
            found = f"{name[:64]!r} is {_kind(text)}, neither a string nor null"
            raise Refused(INVALID_ATTRIBUTE, found, field=f"{field}.{name[:64]}")
    attributes.check(value, field)


def _string(item: Mapping[str, Any], name: str, missing: Any) -> str:
    value = item.get(name)
    if value is None:
        raise Refused(missing, f"{name} is {'null' if name in item else 'missing'}", field=name)
    if isinstance(value, _Number) or not isinstance(value, str):
        raise Refused(INVALID_FIELD, f"{name} is {_kind(value)}, not a string", field=name)
    return value


def _meant(name: str, known: Collection[str]) -> str:
    nearest = difflib.get_close_matches(name[:64].lower(), known, n=1)
    return f', did you mean "{nearest[0]}"' if nearest else ""


def _one(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _kind(
    value: object,
) -> Literal["a number", "a string", "an array", "an object", "true or false", "null"]:
    if isinstance(value, _Number):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    return "null" if value is None else "true or false"


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    item = dict(members)
    if len(item) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(INVALID_FIELD, f"{twice[:64]!r} is given twice", field=twice[:64])
    return item


def _not_json(word: str) -> NoReturn:
    raise Refused(MALFORMED_BODY, f"{word} is not JSON")
