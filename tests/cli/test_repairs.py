"""Fields set and taken away in an event, and how that is told."""

from typing import Any

import click
import pytest

from services.cli.repairs import changed, differences

EVENT: dict[str, Any] = {"type": "purchase", "id": "e", "data": {"amount": "1.00", "currency": "EUR"}}


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        ("data.amount=12.30", ("data", "amount"), "12.30"),  # text, or its last digit would be lost
        ("id=a=b", ("id",), "a=b"),
        ("data.order=", ("data", "order"), ""),
        ("data.order=null", ("data", "order"), None),
        ("data.value=true", ("data", "value"), True),
        ('data.value="true"', ("data", "value"), "true"),
        ('data.attributes={"region": "north"}', ("data", "attributes"), {"region": "north"}),
        ("data.attributes.region=north", ("data", "attributes"), {"region": "north"}),
        ("data.page={not json", ("data", "page"), "{not json"),
    ],
)
def test_a_field_is_set_to_what_was_meant(given: str, path: tuple[str, ...], value: object) -> None:
    found: Any = changed(EVENT, [given], [])
    for name in path:
        found = found[name]
    assert found == value
    assert type(found) is type(value)


def test_the_event_itself_stays_as_it_was() -> None:
    changed(EVENT, ["data.amount=2"], ["id"])
    assert EVENT["data"]["amount"] == "1.00"
    assert "id" in EVENT


@pytest.mark.parametrize(
    ("sets", "unsets", "said"),
    [
        (["data.amount"], [], "--set 'data.amount': write it as --set data.amount=12.30"),
        (["=1"], [], "write it as"),
        (["id.more=1"], [], "--set id.more=1: id has no fields"),
        ([], ["data.order"], "--unset data.order: there is no such field"),
        ([], ["nothing.order"], "--unset nothing.order: nothing has no fields"),
    ],
)
def test_what_cannot_be_done_is_one_line(sets: list[str], unsets: list[str], said: str) -> None:
    with pytest.raises(click.UsageError, match=said.replace("(", r"\(")):
        changed(EVENT, sets, unsets)


def test_differences_are_told_field_by_field() -> None:
    after = changed(EVENT, ["data.amount=2.00", "data.order=o"], ["id"])
    assert list(differences(EVENT, after)) == [
        '- id: "e"',
        '~ data.amount: "1.00" -> "2.00"',
        '+ data.order: "o"',
    ]
    assert list(differences(EVENT, changed(EVENT, [], []))) == []
    assert list(differences(None, {"id": "e"})) == ['~ all of it: null -> {"id": "e"}']
