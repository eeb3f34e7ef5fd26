"""What is taken becomes one canonical event; whatever else comes is a problem (`test_refusals.py` has each)."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import events, intake, money, problems
from services.ingest.normalise import Normaliser, Refusal
from tests.ingest.normalising import accepted, normalise, purchase, refusal_of
from tests.ingest.posting import ACCEPTED_AT, TYPES, Leave, cloud_event, shorthand, text

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
    ("kind", "written", "centi"),
    [
        ("rating", '"4.50"', 450),
        ("rating", "4.5", 450),
        ("rating", "1", 100),
        ("rating", '"5.00"', 500),
        ("rating", '"\\u0034"', 400),
        ("nps", "0", 0),
        ("nps", '"10"', 1000),
    ],
)
def test_a_score_is_hundredths_read_from_its_text(kind: str, written: str, centi: int) -> None:
    event = accepted(text(shorthand("feedback", kind=kind, score="?")).replace(b'"?"', written.encode()))
    assert isinstance(event, events.Feedback)
    assert event.data == events.FeedbackData(kind, centi, "mail")  # type: ignore[arg-type]


@pytest.mark.parametrize("score", [Leave, None])
def test_a_complaint_has_no_score(score: Any) -> None:
    event = accepted(text(shorthand("feedback", kind="complaint", score=score)))
    assert isinstance(event, events.Feedback)
    assert event.data.score_centi is None
    assert refusal_of("feedback", kind="complaint").field == "score"


@pytest.mark.parametrize("value", ["gold", True, False, None])
def test_an_override_sets_a_position_until_an_instant_or_ends_what_was_set(value: Any) -> None:
    event = accepted(text(shorthand("override", value=value)))
    assert isinstance(event, events.Override)
    until = datetime(2026, 6, 1, tzinfo=UTC)
    assert event.data == events.OverrideData("tier", value, "li", "contract of 2026", until)


def test_an_override_ends_later_than_it_begins() -> None:
    begins = "2026-03-01T12:00:00Z"
    assert refusal_of("override", until=begins).type == problems.INVALID_UNTIL.type
    assert isinstance(accepted(text(shorthand("override", until="2026-03-01T12:00:00.001Z"))), events.Override)
    # Without a time of its own it begins when it is accepted, nine days later.
    assert refusal_of("override", time=Leave, until="2026-03-10T12:00:00.123Z").field == "until"
    assert isinstance(accepted(text(shorthand("override", time=Leave, until="2999-01-01T00:00:00Z"))), events.Override)


def test_a_profile_has_as_many_and_as_long_attributes_as_are_taken() -> None:
    most = {f"a{n}": "价" * intake.MAX_ATTRIBUTE_VALUE for n in range(intake.MAX_ATTRIBUTES)}
    event = accepted(text(shorthand("profile", attributes=most)))
    assert isinstance(event, events.Profile)
    assert event.data.attributes == most
    assert "51 attributes" in refusal_of("profile", attributes=most | {"b": None}).detail


def test_an_attribute_is_taken_as_it_is_written() -> None:
    given = {"region": "", "owner": ' a "b" ', "x_1": None, "y": "\U0001f642", "z" * 64: "{}"}
    event = accepted(text(shorthand("profile", attributes=given)))
    assert isinstance(event, events.Profile)
    assert event.data.attributes == given


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
