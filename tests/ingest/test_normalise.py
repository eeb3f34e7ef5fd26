"""What is taken becomes one canonical event; what is not says which problem, which field, and names the id."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import events, intake, money, problems
from services.ingest.normalise import Normaliser, Refusal
from tests.ingest.posting import ACCEPTED_AT, TYPES, Leave, cloud_event, shorthand, text

normalise = Normaliser()


def accepted(raw: bytes, **how: Any) -> events.Event:
    event = normalise(raw, ACCEPTED_AT, **how)
    assert not isinstance(event, Refusal), event
    return event


def refused(raw: bytes, **how: Any) -> Refusal:
    refusal = normalise(raw, ACCEPTED_AT, **how)
    assert isinstance(refusal, Refusal), refusal
    return refusal


def purchase(**changes: Any) -> events.Purchase:
    event = accepted(text(shorthand("purchase", **changes)))
    assert isinstance(event, events.Purchase)
    return event


# -- what is taken


@pytest.mark.parametrize("kind", TYPES)
def test_shorthand_and_cloud_event_of_the_same_are_the_same_event(kind: str) -> None:
    event = accepted(text(shorthand(kind)))
    assert event == accepted(text(cloud_event(kind)))
    assert event == accepted(text(cloud_event(kind)), cloud_event=True)
    assert msgspec.json.decode(msgspec.json.encode(event), type=events.Event) == event


def test_a_purchase_is_minor_units_and_utc_in_milliseconds() -> None:
    event = purchase(time="2026-03-01T20:00:00.0009+08:00")
    assert event == events.Purchase(
        id="e-1",
        source="shop",
        subject="c-1",
        time=datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC),
        receivedtime=ACCEPTED_AT,
        data=events.PurchaseData(amount_minor=60_000, currency="CNY", order="o-1", channel="web"),
    )


def test_the_record_is_a_cloud_event_of_its_own() -> None:
    record = json.loads(msgspec.json.encode(purchase()))
    assert record["specversion"] == "1.0"
    assert {"id", "source", "type", "subject", "time", "data"} <= record.keys()


@pytest.mark.parametrize("kind", ["click", "interaction", "form"])
@pytest.mark.parametrize("data", [Leave, None, {}])
def test_events_without_amounts_need_no_data(kind: str, data: Any) -> None:
    event = accepted(text({**cloud_event(kind, data=Leave), **({} if data is Leave else {"data": data})}))
    assert msgspec.to_builtins(event)["data"] == {}


def test_an_interaction_is_inbound_if_nobody_says_otherwise() -> None:
    event = accepted(text(shorthand("interaction", direction=Leave)))
    assert isinstance(event, events.Interaction)
    assert event.data.direction == "inbound"


def test_a_refund_without_amount_takes_what_is_left_of_the_order() -> None:
    event = accepted(text(shorthand("refund", amount=Leave, currency=Leave)))
    assert isinstance(event, events.Refund)
    assert event.data == events.RefundData(None, None, "o-1")


def test_without_a_time_it_is_stamped_at_acceptance() -> None:
    for absent in (Leave, None):
        event = purchase(time=absent)
        assert (event.time, event.stamped) == (ACCEPTED_AT, True)
    assert not purchase().stamped


def test_null_in_an_optional_field_counts_as_absent() -> None:
    assert purchase(order=None, channel=None) == purchase(order=Leave, channel=Leave)
    assert accepted(text(shorthand("refund", amount=None))) == accepted(text(shorthand("refund", amount=Leave)))


def test_extension_attributes_of_a_cloud_event_are_ignored() -> None:
    extended = cloud_event(
        traceparent="00-4bf9", dataschema="urn:x", datacontenttype="application/json", depth={"a": [1]}
    )
    assert accepted(text(extended)) == accepted(text(cloud_event()))


@pytest.mark.parametrize("written", ['"12.30"', "12.30", "12.3", '"12.3"', '"012.30"', '"\\u00312.30"'])
def test_an_amount_is_read_from_its_text(written: str) -> None:
    raw = text(shorthand(amount="?")).replace(b'"?"', written.encode())
    event = accepted(raw)
    assert isinstance(event, events.Purchase)
    assert event.data.amount_minor == 1230


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0", "USD", 0),
        ("-0", "USD", 0),
        ("600", "JPY", 600),
        ("1.234", "KWD", 1234),
        ("90071992547409.91", "USD", 2**53 - 1),
        ("0" * 5000 + "1", "USD", 100),
    ],
)
def test_amounts_at_the_edges(amount: str, currency: str, minor: int) -> None:
    assert purchase(amount=amount, currency=currency).data.amount_minor == minor


@pytest.mark.parametrize(
    ("time", "instant"),
    [
        ("2026-03-01T12:00:60Z", datetime(2026, 3, 1, 12, 1, tzinfo=UTC)),
        ("2015-06-30T23:59:60.5+00:00", datetime(2015, 7, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-01t12:00:00z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00.1239999999-00:00", datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2026-03-10T12:05:00.123Z", datetime(2026, 3, 10, 12, 5, 0, 123_000, tzinfo=UTC)),  # just five minutes ahead
    ],
)
def test_times_at_the_edges(time: str, instant: datetime) -> None:
    assert purchase(time=time).time == instant


@pytest.mark.parametrize("id_", ["x", "x" * 128, "订单 7", "a\u3000b", "🙂", "7", "a/b?c=d e"])
def test_ids_are_taken_as_they_are(id_: str) -> None:
    event = purchase(id=id_, source=id_, subject=id_)
    assert (event.id, event.source, event.subject) == (id_, id_, id_)


@pytest.mark.parametrize("subject", ["12345678", "+1234567", "c@home", "1391234567", "12912345678", "+12-34"])
def test_subjects_that_only_resemble_personal_data_are_taken(subject: str) -> None:
    assert purchase(subject=subject).subject == subject


def test_personal_subjects_are_taken_where_that_is_configured() -> None:
    liberal = Normaliser(allow_personal_subjects=True)
    event = liberal(text(shorthand(subject="ann@example.org")), ACCEPTED_AT)
    assert isinstance(event, events.Purchase)


# -- what is not taken: (what was posted, the problem, the field)

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


def test_a_word_that_looks_like_an_attribute_changes_nothing() -> None:
    assert purchase(order="specversion").data.order == "specversion"
    assert purchase(order='"amount": "1"').data.order == '"amount": "1"'


# -- whatever comes


@given(st.integers(0, events.MAX_AMOUNT_MINOR), st.sampled_from(sorted(money.DIGITS)))
def test_every_amount_of_every_currency_comes_back_exactly(minor: int, currency: str) -> None:
    written = money.to_major(minor, money.DIGITS[currency])
    assert purchase(amount=written, currency=currency).data.amount_minor == minor
    raw = text(shorthand(amount="?", currency=currency)).replace(b'"?"', written.encode())
    assert accepted(raw) == purchase(amount=written, currency=currency)


@given(st.binary() | st.text().map(str.encode))
@example(b"\xef\xbb\xbf{}")
@example(b'{"\\ud800":1}')
def test_arbitrary_bytes_are_a_problem_not_an_error(raw: bytes) -> None:
    assert isinstance(normalise(raw, ACCEPTED_AT), Refusal)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_NAMES = sorted({f.name for kind in intake.FIELDS.values() for f in msgspec.structs.fields(kind)})


@given(
    st.sampled_from(TYPES),
    st.booleans(),
    st.dictionaries(
        st.sampled_from([*_NAMES, "id", "source", "subject", "time", "type", "data", "specversion", "data_base64"]),
        _ANYTHING | st.just(Leave),
        max_size=4,
    ),
)
def test_an_event_with_any_members_is_taken_or_refused_with_a_problem(
    kind: str, as_cloud_event: bool, changes: dict[str, Any]
) -> None:
    base = cloud_event(kind) if as_cloud_event else shorthand(kind)
    item = {name: value for name, value in {**base, **changes}.items() if value is not Leave}
    outcome = normalise(text(item), ACCEPTED_AT)
    if isinstance(outcome, Refusal):
        assert outcome.problem.type.removeprefix("/problems/") in problems.CATALOGUE
    else:
        assert msgspec.json.decode(msgspec.json.encode(outcome), type=events.Event) == outcome


# -- the contract's types


@pytest.mark.parametrize("kind", TYPES)
def test_shorthand_has_the_fields_of_the_cloud_events_data(kind: str) -> None:
    shorthand_type = {c.__struct_config__.tag: c for c in intake.Shorthand.__args__}[kind]
    own = {field.name: field for field in msgspec.structs.fields(shorthand_type)}
    for field in msgspec.structs.fields(intake.Attributes):
        del own[field.name]
    fields = {field.name: field for field in msgspec.structs.fields(intake.FIELDS[kind])}
    assert {name: (f.type, f.required) for name, f in own.items()} == {
        name: (f.type, f.required) for name, f in fields.items()
    }
    assert kind in events.EVENT_TYPES
