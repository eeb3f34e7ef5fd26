"""An event that is not taken says which problem, which field, and names the id."""

from typing import Any

import pytest

from schemas import problems
from tests.ingest.normalising import refused
from tests.ingest.posting import Leave, cloud_event, shorthand, text

BAD: list[tuple[str, Any, problems.Problem, str | None]] = [
    ("no JSON", b"{", problems.MALFORMED_BODY, None),
    ("half an event", text(shorthand())[:-5], problems.MALFORMED_BODY, None),
    ("two events", text(shorthand()) * 2, problems.MALFORMED_BODY, None),
    ("not UTF-8", text(shorthand(id="?")).replace(b"?", b"\xff"), problems.MALFORMED_BODY, None),
    ("not UTF-8 in the amount", text(shorthand(amount="?")).replace(b"?", b"\xff"), problems.MALFORMED_BODY, None),
    ("half a surrogate pair", text(shorthand(id="\ud800")), problems.MALFORMED_BODY, None),
    ("not a number", text(shorthand(amount="?")).replace(b'"?"', b"NaN"), problems.MALFORMED_BODY, None),
    ("infinity", text(shorthand(amount="?")).replace(b'"?"', b"-Infinity"), problems.MALFORMED_BODY, None),
    ("a number", b"1", problems.NOT_AN_EVENT, None),
    ("null", b"null", problems.NOT_AN_EVENT, None),
    ("an array in an array", b"[]", problems.NOT_AN_EVENT, None),
    ("100,000 brackets", b'{"id":' + b"[" * 100_000, problems.TOO_DEEP, None),
    ("no type", shorthand(type=Leave), problems.MISSING_FIELD, "type"),
    ("a type of another kind", shorthand(type=7), problems.INVALID_FIELD, "type"),
    ("an unknown type", shorthand(type="purchse"), problems.UNKNOWN_TYPE, "type"),
    ("an unknown type of CloudEvent", cloud_event(type="com.shop.order"), problems.UNKNOWN_TYPE, "type"),
    ("no id", shorthand(id=Leave), problems.MISSING_FIELD, "id"),
    ("null as id", cloud_event(id=None), problems.MISSING_FIELD, "id"),
    ("a number as id", shorthand(id=7), problems.INVALID_FIELD, "id"),
    ("an empty id", shorthand(id=""), problems.INVALID_ID, "id"),
    ("an id too long", cloud_event(id="x" * 129), problems.INVALID_ID, "id"),
    ("a control character", shorthand(id="a\u0000"), problems.INVALID_ID, "id"),
    ("another control character", shorthand(id="a\u0085b"), problems.INVALID_ID, "id"),
    ("a blank at the end", shorthand(id="a "), problems.INVALID_ID, "id"),
    ("a wide blank at the front", shorthand(id="\u3000a"), problems.INVALID_ID, "id"),
    ("no source", shorthand(source=Leave), problems.MISSING_FIELD, "source"),
    ("a source with a line end", shorthand(source="a\n"), problems.INVALID_ID, "source"),
    ("no subject", shorthand(subject=Leave), problems.MISSING_SUBJECT, "subject"),
    ("no subject in a CloudEvent", cloud_event(subject=Leave), problems.MISSING_SUBJECT, "subject"),
    ("an empty subject", shorthand(subject=""), problems.INVALID_SUBJECT, "subject"),
    ("a subject too long", shorthand(subject="x" * 129), problems.INVALID_SUBJECT, "subject"),
    ("a blank subject", shorthand(subject=" "), problems.INVALID_SUBJECT, "subject"),
    ("an e-mail address", shorthand(subject="ann@example.org"), problems.PERSONAL_SUBJECT, "subject"),
    ("a telephone number", cloud_event(subject="+44 20 7946 0000"), problems.PERSONAL_SUBJECT, "subject"),
    ("a Chinese mobile number", shorthand(subject="13912345678"), problems.PERSONAL_SUBJECT, "subject"),
    ("a negative amount", shorthand(amount="-0.01"), problems.NEGATIVE_AMOUNT, "amount"),
    ("a negative number", cloud_event(data={"amount": -3, "currency": "USD"}), problems.NEGATIVE_AMOUNT, "data.amount"),
    ("exponent form", text(shorthand(amount=7)).replace(b"7,", b"1e3,"), problems.INVALID_AMOUNT, "amount"),
    ("exponent form as text", shorthand(amount="1.5e1"), problems.INVALID_AMOUNT, "amount"),
    ("a word as amount", shorthand(amount="ten"), problems.INVALID_AMOUNT, "amount"),
    ("an empty amount", shorthand(amount=""), problems.INVALID_AMOUNT, "amount"),
    ("a plus sign", shorthand(amount="+1"), problems.INVALID_AMOUNT, "amount"),
    ("an underscore", shorthand(amount="1_0"), problems.INVALID_AMOUNT, "amount"),
    ("other digits", shorthand(amount="١٢"), problems.INVALID_AMOUNT, "amount"),
    ("a line end", shorthand(amount="1\n"), problems.INVALID_AMOUNT, "amount"),
    ("not a number as text", shorthand(amount="NaN"), problems.INVALID_AMOUNT, "amount"),
    ("true as amount", shorthand(amount=True), problems.INVALID_AMOUNT, "amount"),
    ("an object as amount", shorthand("refund", amount={}), problems.INVALID_AMOUNT, "amount"),
    ("a float with three decimals", shorthand(amount=12.345), problems.TOO_MANY_DECIMALS, "amount"),
    ("zeros are decimals", shorthand(amount="12.300"), problems.TOO_MANY_DECIMALS, "amount"),
    ("yen have none", shorthand(amount="12.0", currency="JPY"), problems.TOO_MANY_DECIMALS, "amount"),
    ("more than 2^53-1", shorthand(amount="90071992547409.92"), problems.AMOUNT_TOO_LARGE, "amount"),
    ("a million digits", shorthand(amount="9" * 1_000_000), problems.AMOUNT_TOO_LARGE, "amount"),
    ("no amount", shorthand(amount=Leave), problems.MISSING_FIELD, "amount"),
    ("no currency", shorthand(currency=Leave), problems.MISSING_CURRENCY, "currency"),
    ("no currency to a refund", cloud_event("refund", {"amount": "1"}), problems.MISSING_CURRENCY, "data.currency"),
    ("a refund of nothing", cloud_event("refund", {"currency": "CNY"}), problems.MISSING_FIELD, "data.order"),
    ("an unknown currency", shorthand(currency="EUX"), problems.UNKNOWN_CURRENCY, "currency"),
    ("a currency in small letters", shorthand(currency="usd"), problems.UNKNOWN_CURRENCY, "currency"),
    ("an empty currency", shorthand(currency=""), problems.UNKNOWN_CURRENCY, "currency"),
    ("gold", shorthand(currency="XAU"), problems.UNKNOWN_CURRENCY, "currency"),
    ("a refund's currency", shorthand("refund", amount=Leave, currency="X"), problems.UNKNOWN_CURRENCY, "currency"),
    ("a number as currency", shorthand(currency=840), problems.INVALID_FIELD, "currency"),
    ("no offset", shorthand(time="2026-03-01T12:00:00"), problems.INVALID_TIME, "time"),
    ("a date", shorthand(time="2026-03-01"), problems.INVALID_TIME, "time"),
    ("a week", shorthand(time="2026-W10-1T12:00:00Z"), problems.INVALID_TIME, "time"),
    ("the 30th of February", shorthand(time="2026-02-30T12:00:00Z"), problems.INVALID_TIME, "time"),
    ("second 61", shorthand(time="2026-02-03T12:00:61Z"), problems.INVALID_TIME, "time"),
    ("a number as time", shorthand(time=1772366400), problems.INVALID_TIME, "time"),
    ("six minutes ahead", shorthand(time="2026-03-10T12:06:00.123Z"), problems.TIME_IN_FUTURE, "time"),
    ("a millisecond too far", shorthand(time="2026-03-10T12:05:00.124Z"), problems.TIME_IN_FUTURE, "time"),
    ("before 1970", shorthand(time="1969-12-31T23:59:59.999Z"), problems.TIME_OUT_OF_RANGE, "time"),
    ("after 5999", shorthand(time="6000-01-01T00:00:00Z"), problems.TIME_OUT_OF_RANGE, "time"),
    ("before the year 1", shorthand(time="0001-01-01T00:00:00+14:00"), problems.TIME_OUT_OF_RANGE, "time"),
    ("another specversion", cloud_event(specversion="0.3"), problems.UNSUPPORTED_SPECVERSION, "specversion"),
    ("a number as specversion", cloud_event(specversion=1.0), problems.INVALID_FIELD, "specversion"),
    ("no data", cloud_event(data=Leave), problems.MISSING_FIELD, "data"),
    ("data in base64", cloud_event("click", data=Leave, data_base64="e30="), problems.INVALID_FIELD, "data_base64"),
    ("an array as data", cloud_event("click", data=[]), problems.INVALID_FIELD, "data"),
    ("a misspelt field", shorthand(chanel="web"), problems.UNKNOWN_FIELD, "chanel"),
    ("a misspelt field in data", cloud_event(data={"amont": "1"}), problems.UNKNOWN_FIELD, "data.amont"),
    ("data without specversion", cloud_event(specversion=Leave), problems.UNKNOWN_FIELD, "data"),
    ("a number as order", shorthand(order=7), problems.INVALID_FIELD, "order"),
    ("an empty order", shorthand(order=""), problems.INVALID_FIELD, "order"),
    ("an order with a blank", cloud_event("refund", {"order": " o"}), problems.INVALID_FIELD, "data.order"),
    ("a page too long", shorthand("click", page="x" * 2049), problems.INVALID_FIELD, "page"),
    ("a third direction", shorthand("interaction", direction="sideways"), problems.INVALID_FIELD, "direction"),
    ("no kind of feedback", shorthand("feedback", kind=Leave), problems.MISSING_FIELD, "kind"),
    ("feedback without data", {**cloud_event("feedback"), "data": None}, problems.MISSING_FIELD, "data"),
    ("another kind of feedback", shorthand("feedback", kind="stars"), problems.INVALID_FIELD, "kind"),
    ("a rating without score", shorthand("feedback", score=Leave), problems.MISSING_FIELD, "score"),
    (
        "an NPS that is null",
        cloud_event("feedback", {"kind": "nps", "score": None}),
        problems.MISSING_FIELD,
        "data.score",
    ),
    ("a rating of 0", shorthand("feedback", score=0), problems.INVALID_SCORE, "score"),
    ("a rating above 5", shorthand("feedback", score="5.01"), problems.INVALID_SCORE, "score"),
    ("an NPS of 11", cloud_event("feedback", {"kind": "nps", "score": 11}), problems.INVALID_SCORE, "data.score"),
    ("a complaint's score", shorthand("feedback", kind="complaint", score=3), problems.INVALID_SCORE, "score"),
    ("a score of three decimals", shorthand("feedback", score="4.500"), problems.INVALID_SCORE, "score"),
    ("a negative score", shorthand("feedback", score=-1), problems.INVALID_SCORE, "score"),
    (
        "a score's exponent",
        text(shorthand("feedback", score="?")).replace(b'"?"', b"3e0"),
        problems.INVALID_SCORE,
        "score",
    ),
    ("a million nines", shorthand("feedback", score="9" * 1_000_000), problems.INVALID_SCORE, "score"),
    ("other digits in a score", shorthand("feedback", score="٤"), problems.INVALID_SCORE, "score"),
    ("true as score", shorthand("feedback", score=True), problems.INVALID_SCORE, "score"),
    ("an object as score", shorthand("feedback", score={"a": "b"}), problems.INVALID_SCORE, "score"),
    ("a score twice", text(shorthand("feedback"))[:-1] + b',"score":1}', problems.INVALID_FIELD, "score"),
    (
        "a complaint's score, then null",
        text(shorthand("feedback", kind="complaint", score=3))[:-1] + b',"score":null}',
        problems.INVALID_FIELD,
        "score",
    ),
    ("no opportunity", shorthand("stage", opportunity=Leave), problems.MISSING_FIELD, "opportunity"),
    ("no stage", cloud_event("stage", {"opportunity": "o"}), problems.MISSING_FIELD, "data.stage"),
    ("an empty stage", shorthand("stage", stage=""), problems.INVALID_FIELD, "stage"),
    ("a number as opportunity", shorthand("stage", opportunity=7), problems.INVALID_FIELD, "opportunity"),
    ("no attributes", shorthand("profile", attributes=Leave), problems.MISSING_FIELD, "attributes"),
    ("a list of attributes", shorthand("profile", attributes=["a"]), problems.INVALID_ATTRIBUTE, "attributes"),
    (
        "a capital in a name",
        shorthand("profile", attributes={"Region": "N"}),
        problems.INVALID_ATTRIBUTE,
        "attributes.Region",
    ),
    (
        "a name too long",
        shorthand("profile", attributes={"x" * 65: "N"}),
        problems.INVALID_ATTRIBUTE,
        "attributes." + "x" * 64,
    ),
    (
        "a name with a line end",
        shorthand("profile", attributes={"x\n": "N"}),
        problems.INVALID_ATTRIBUTE,
        "attributes.x\n",
    ),
    (
        "an attribute's number",
        shorthand("profile", attributes={"size": 7}),
        problems.INVALID_ATTRIBUTE,
        "attributes.size",
    ),
    (
        "an attribute's list",
        cloud_event("profile", {"attributes": {"a": []}}),
        problems.INVALID_ATTRIBUTE,
        "data.attributes.a",
    ),
    ("a value too long", shorthand("profile", attributes={"a": "x" * 257}), problems.INVALID_ATTRIBUTE, "attributes.a"),
    ("a tab in a value", shorthand("profile", attributes={"a": "x\ty"}), problems.INVALID_ATTRIBUTE, "attributes.a"),
    (
        "a zero in a value",
        cloud_event("profile", {"attributes": {"a": "\0"}}),
        problems.INVALID_ATTRIBUTE,
        "data.attributes.a",
    ),
    (
        "an attribute twice",
        text(shorthand("profile")).replace(b'"attributes": {', b'"attributes": {"industry": null, '),
        problems.INVALID_FIELD,
        "industry",
    ),
    ("no dimension", shorthand("override", dimension=Leave), problems.MISSING_FIELD, "dimension"),
    ("no value", shorthand("override", value=Leave), problems.MISSING_FIELD, "value"),
    ("a number as value", shorthand("override", value=7), problems.INVALID_FIELD, "value"),
    ("an empty value", shorthand("override", value=""), problems.INVALID_FIELD, "value"),
    ("nobody who answers for it", shorthand("override", owner=Leave), problems.MISSING_FIELD, "owner"),
    (
        "no reason",
        cloud_event("override", {"dimension": "tier", "value": None, "owner": "li", "until": "2027-01-01T00:00:00Z"}),
        problems.MISSING_FIELD,
        "data.reason",
    ),
    ("a reason too long", shorthand("override", reason="x" * 257), problems.INVALID_FIELD, "reason"),
    ("no end", shorthand("override", until=None), problems.MISSING_FIELD, "until"),
    ("an end without offset", shorthand("override", until="2026-06-01T00:00:00"), problems.INVALID_UNTIL, "until"),
    ("an end that is a number", shorthand("override", until=1780272000), problems.INVALID_UNTIL, "until"),
    ("an end out of range", shorthand("override", until="9999-12-31T23:59:60Z"), problems.INVALID_UNTIL, "until"),
    ("an end before it begins", shorthand("override", until="2026-02-01T00:00:00Z"), problems.INVALID_UNTIL, "until"),
    ("an id twice", b'{"id":"x",' + text(shorthand())[1:], problems.INVALID_FIELD, "id"),
    ("an amount twice", text(shorthand())[:-1] + b', "amount": 1}', problems.INVALID_FIELD, "amount"),
    ("an amount twice, once escaped", text(shorthand())[:-1] + b',"\\u0061mount":1}', problems.INVALID_FIELD, "amount"),
]


@pytest.mark.parametrize(("posted", "problem", "field"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_not_taken_names_problem_and_field(posted: Any, problem: problems.Problem, field: str | None) -> None:
    details = refused(posted if isinstance(posted, bytes) else text(posted)).problem
    assert (details.type, details.status, details.field) == (problem.type, problem.status, field)
    assert details.fix
    assert 0 < len(details.detail) < 300


def test_declared_cloud_events_are_not_taken_as_shorthand() -> None:
    problem = refused(text(shorthand()), cloud_event=True).problem
    assert (problem.type, problem.field) == (problems.MISSING_FIELD.type, "specversion")


def test_the_nearest_known_field_and_type_are_named() -> None:
    assert 'did you mean "channel"' in refused(text(shorthand(chanel="web"))).problem.detail
    assert 'did you mean "purchase"' in refused(text(shorthand(type="Purchased"))).problem.detail
    assert 'did you mean "USD"' in refused(text(shorthand(currency="usd"))).problem.detail


def test_a_refusal_names_the_event_if_its_id_can_be_read() -> None:
    assert refused(text(shorthand(amount="-1"))).id == "e-1"
    assert refused(text(shorthand(subject=Leave))).id == "e-1"
    assert refused(b"{").id is None
    for number in (b"5", b"1.5", b"true", b"null"):
        assert refused(b'{"id": %s}' % number).id is None
