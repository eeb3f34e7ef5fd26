"""The table at the demo's end."""

import io

from rich.console import Console

from schemas.answers import Summary
from services.demo.summary import table

NUMBERS = Summary(
    customers=4,
    tiers={"gold": 1, "basic": 3},
    classes={"type": {"growth": 1, "other": 3}},
    segments={"active": 2},
    churn=0,
    transitions=[],
    transitions_by_cause={"event": 5, "manual": 1},
    tasks_open=0,
    tasks_claimed=0,
    alerts_open=0,
    position=0,
)


def lines() -> list[str]:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(table(1234, ["gold", "silver", "basic"], NUMBERS, {"replay": 1.5, "the rest": 2.0}))
    return [" ".join(line.replace("│", " ").split()) for line in console.export_text().splitlines()]


def test_tiers_come_in_the_policys_order_those_without_a_customer_too() -> None:
    shown = lines()
    first = shown.index("tier gold 1 25.0%")
    assert shown[first : first + 3] == ["tier gold 1 25.0%", "silver 0 0.0%", "basic 3 75.0%"]


def test_each_list_of_classes_has_its_part_the_fullest_class_first() -> None:
    shown = lines()
    first = shown.index("type other 3 75.0%")
    assert shown[first + 1] == "growth 1 25.0%"


def test_causes_are_said_in_words_and_seconds_add_up() -> None:
    shown = lines()
    assert "transitions by an event 5" in shown
    assert "an override 1" in shown
    assert "all 3.5" in shown
