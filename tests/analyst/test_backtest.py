"""The back-test: what a history comes to under one policy and under another."""

import io
import json
import math
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from rich.console import Console

from schemas.events import Event
from services.analyst.backtest import history, page, run, summary
from services.analyst.backtest.evaluate import Document
from services.analyst.backtest.report import DimensionView, Report, report
from services.analyst.backtest.spill import Spill, read
from services.analyst.backtest.tally import Tally
from services.analyst.backtest.topic import dead
from services.analyst.calibration.purchases import Unreadable
from services.ingest.normalise import Normaliser
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.policy import parse
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer
from tests.analyst.scripts import POLICY, bought, instant, line

PLAYBOOKS = """
playbooks:
  - {on: "tier falls to regular", when: "orders >= 2", task: {title: "Call", to: sales, due: 1d}}
  - {on: "churn raised", task: {title: "Win back", to: sales, due: 1d}}
"""
OLD = Document(POLICY + PLAYBOOKS, "old.yaml")
NEW = Document((POLICY + PLAYBOOKS).replace("sandbox", "strict").replace(">= 500", ">= 700"), "new.yaml")


def written(folder: Path, *lines: dict) -> Path:
    (file := folder / "events.ndjson").write_text("".join(json.dumps(one["event"]) + "\n" for one in lines))
    return file


def tried(file: Path, new: Document = NEW, old: Document | None = OLD, until: str | None = None, **more) -> Report:
    until_ms = None if until is None else to_ms(msgspec.convert(instant(until), type=to_datetime(0).__class__))
    tally, until_ms = run.run(
        new, old, lambda spill, told: history.from_file(file, spill, told), about_events=0, until_ms=until_ms, **more
    )
    return report(tally, until_ms, new.policy(), None if old is None else old.policy())


def of(told: Report, name: str) -> DimensionView:
    return next(view for view in told.dimensions if view.name == name)


LINES = (
    bought("3-1", "1", "600", "a"),
    bought("3-1", "1", "800", "b"),
    bought("3-2", "1", "100", "c"),
    bought("3-3", "1", "-1", "c"),
    bought("3-3", "2", "100", "c"),
)


def test_who_moves_from_where_to_where(tmp_path):
    told = tried(written(tmp_path, *LINES), until="3-10")
    tier = of(told, "tier")
    assert [(cell.before, cell.after, cell.customers) for cell in tier.matrix] == [
        ("good", "good", 1),
        ("good", "regular", 1),
        ("regular", "regular", 1),
    ]
    assert (tier.old, tier.new) == ([0, 2, 1], [0, 1, 2])
    assert (told.moved, told.customers, told.events, told.dead) == (1, 3, 5, {"negative-amount": 1})
    assert of(told, "north").moved == 0


def crowd(folder: Path, movers: int) -> Report:
    """So many customers are good by the old policy only; the last of them is in the north by the new one only too."""
    south = Document(NEW.text.replace("region == 'north'", "orders >= 2"), "south.yaml")
    lines = [bought("3-1", "1", "600", f"c{number:03}") for number in range(movers)]
    return tried(written(folder, *lines, bought("3-1", "2", "1", f"c{movers - 1:03}")), new=south, until="3-10")


def test_who_moves_is_told_in_the_order_of_the_policys_dimensions_the_first_hundred_with_the_total(tmp_path):
    told = crowd(tmp_path, 120).moves
    assert (told.total, len(told.first)) == (121, 100)
    assert [(move.customer, move.dimension) for move in told.first[:2]] == [("c000", "tier"), ("c001", "tier")]
    few = crowd(tmp_path, 2).moves
    assert [(m.customer, m.dimension, m.before, m.after) for m in few.first] == [
        ("c000", "tier", "good", "regular"),
        ("c001", "tier", "good", "regular"),
        ("c001", "north", False, True),
    ]
    assert [move.since and move.since.isoformat() for move in few.first] == [None, None, "2026-03-01T00:00:00+00:00"]


def test_at_a_terminal_the_first_twenty_who_move_are_named_and_the_rest_counted(tmp_path):
    def said(movers: int) -> list[str]:
        console = Console(width=100, file=(text := io.StringIO()))
        summary.show(crowd(tmp_path, movers), console)
        return [" ".join(line.split()) for line in text.getvalue().splitlines()]

    many, few = said(30), said(2)
    assert "who moves, by dimension and customer" in many
    assert "c019 tier good regular -" in many
    assert "c020 tier good regular -" not in many
    assert "and 11 more: moves.csv, which --out writes" in many
    assert "c001 north no yes 2026-03-01T00:00:00.000Z" in few
    assert not any("more: moves.csv" in line for line in few)


def test_on_the_page_the_first_hundred_who_move_are_named_and_the_rest_counted(tmp_path):
    told = page.render(crowd(tmp_path, 120))
    assert "<td>c099</td><td>tier</td><td>good</td><td>regular</td><td>-</td>" in told
    assert "<td>c100</td>" not in told
    assert "And 21 more: moves.csv." in told
    assert "Who moves" not in page.render(tried(written(tmp_path, *LINES), old=None))


def test_time_is_played_to_the_instant_asked_and_later_events_are_left_out(tmp_path):
    file = written(tmp_path, *LINES, bought("5-1", "9", "5000", "a"))
    told = tried(file, until="4-15")
    assert of(told, "tier").new == [0, 0, 3]
    assert told.events == 5
    assert tried(file).until.isoformat() == "2026-05-01T00:00:00+00:00"


def test_playbooks_count_when_their_own_condition_holds_then(tmp_path):
    # a falls with one order, d with two; both are quiet for 25 days on 26 March and later
    told = tried(written(tmp_path, *LINES, bought("3-4", "1", "600", "d"), bought("3-5", "2", "50", "d")), until="4-30")
    books = {(book.side, book.on): book for book in told.playbooks}
    assert books["old", "tier falls to regular"].times == 1
    assert books["old", "tier falls to regular"].weekly == {"2026-03-30": 1}
    assert books["new", "tier falls to regular"].times == 0
    assert books["new", "churn raised"].times == 4
    assert books["new", "churn raised"].a_week == round(4 / ((60) / 7), 2)


def test_flaps_a_month_and_thousand_customers(tmp_path):
    #  good              regular      good      regular
    # ──▲────────────────▼────────────▲─────────▼─────── (30 days each)
    #   Mar 1            Mar 31       Apr 10    May 10
    told = tried(written(tmp_path, bought("3-1", "1", "600"), bought("4-10", "2", "600")), until="5-30")
    tier = of(told, "tier")
    assert tier.announced == {"new": 0, "old": 4}
    assert tier.flaps == {"new": 0, "old": 1}  # back to good 10 days after; to regular 30 days after it was left: none
    assert tier.flap_rate["old"] == round(1 / (90 / 30 / 1000), 3)


def test_resources_planned_and_where_the_interactions_went(tmp_path):
    classes = """
classes:
  stage:
    - {name: buying, when: "orders >= 1", resources: 70%}
    - {name: new, resources: 30%}
"""
    policy = Document(POLICY[: POLICY.index("classes:")] + classes.lstrip() + POLICY[POLICY.index("segments:") :], "p")
    call = {
        "id": "i1",
        "source": "crm",
        "type": "interaction",
        "subject": "c",
        "time": instant("3-1"),
        "channel": "call",
    }
    calls = [line("3-1", event=call | {"id": f"i{day}", "time": instant(f"3-{day}")}) for day in (1, 3, 4, 5)]
    told = tried(written(tmp_path, *calls, *LINES), new=policy, old=None, until="3-10")
    assert [(s.name, s.planned, s.customers, s.interactions) for s in told.shares] == [
        ("buying", "70%", 100.0, 75.0),
        ("new", "30%", 0.0, 25.0),
    ]


def test_without_an_old_policy_nothing_is_compared(tmp_path):
    told = tried(written(tmp_path, *LINES), old=None)
    assert told.old is None
    assert (of(told, "tier").matrix, of(told, "tier").old, told.moved) == ([], None, 0)


def test_of_what_only_one_policy_has_those_move_who_stand_elsewhere_than_everyone_begins(tmp_path):
    more = Document(POLICY.replace('  north: "region', '  rich: "spend_30d > 700"\n  south: "region'), "more.yaml")
    told = tried(written(tmp_path, *LINES), new=more, old=Document(POLICY, "old.yaml"), until="3-10")
    assert [view.name for view in told.dimensions] == ["tier", "stage", "rich", "south", "churn", "north"]
    assert (of(told, "rich").new, of(told, "rich").old) == ([1, 2], None)
    assert of(told, "north").new is None
    assert (told.moved, of(told, "rich").moved, of(told, "south").moved, of(told, "north").moved) == (1, 1, 0, 0)
    [move] = told.moves.first
    assert (move.customer, move.dimension, move.before, move.after) == ("b", "rich", False, True)
    back = tried(written(tmp_path, *LINES), new=Document(POLICY, "old.yaml"), old=more, until="3-10")
    [move] = back.moves.first
    assert (move.customer, move.dimension, move.before, move.after, move.since) == ("b", "rich", True, False, None)


def shown(told: Report) -> str:
    """What is said at the terminal."""
    summary.show(told, Console(file=(out := io.StringIO()), width=200))
    return out.getvalue()


def test_the_page_and_the_terminal_name_the_policy_that_alone_knows_a_ladder(tmp_path):
    ladder = 'ladders:\n  side: [{name: up, when: "spend_30d > 700"}, {name: down}]\n'
    more = Document(POLICY.replace("ladders:\n", ladder), "more.yaml")
    file = written(tmp_path, *LINES)
    told = tried(file, new=more, old=Document(POLICY, "old.yaml"), until="3-10")
    assert "Only the new policy knows it. Elsewhere than everyone begins: 1 customer." in page.render(told)
    assert " ".join(shown(told).split()).count("side (new only), 1 move") == 1
    told = tried(file, new=Document(POLICY, "old.yaml"), old=more, until="3-10")
    assert "Only the old policy knows it. Elsewhere than everyone begins: 1 customer." in page.render(told)
    nobody = tried(file, new=more, old=more, until="2-1")
    assert nobody.customers == 0
    assert "Only the" not in page.render(nobody), "both know it, though there is nobody to compare"
    assert "only)" not in shown(nobody)


def test_what_stands_on_the_topic_arrived_when_it_was_received(tmp_path):
    """An order that became known late: its own month had passed, so nobody was ever told of it."""
    event = Normaliser()(msgspec.json.encode(LINES[0]["event"]), to_datetime(to_ms(to_datetime(1_777_000_000_000))))
    (file := tmp_path / "topic.ndjson").write_bytes(msgspec.json.encode(event) + b"\n")
    told = tried(file, old=None, new=OLD)
    assert to_ms(told.until) == 1_777_000_000_000
    assert of(told, "tier").announced == {"new": 2}
    assert told.playbooks[1].weekly == {"2026-04-20": 1}  # churn was decided when the event arrived
    assert isinstance(event, Event)


def test_orders_that_a_policy_cannot_price_are_told_by_currency(tmp_path):
    file = written(
        tmp_path,
        bought("3-1", "1", "600", "a", currency="USD"),
        bought("3-1", "2", "600", "a", currency="EUR"),
        bought("3-2", "3", "600", "b", currency="EUR"),
        bought("3-3", "4", "600", "b", time="2025-12-31T23:59:59Z", currency="USD"),
        bought("3-3", "5", "600", "b"),
    )
    priced = Document(OLD.text.replace("rates: {", "rates: {EUR: {2000-01-01: 8}, "), "priced.yaml")
    told = tried(file, new=priced)
    assert told.unpriced == {"new": {"USD": 1}, "old": {"EUR": 2, "USD": 1}}
    assert told.without_rate == [
        "counting as 0, as the new policy has no rate for them: 1 order in USD",
        "counting as 0, as the old policy has no rate for them: 2 orders in EUR, 1 order in USD",
    ]
    assert [sentence[1:] in page.render(told) for sentence in told.without_rate] == [True, True]
    assert tried(file, new=priced, old=None).unpriced == {"new": {"USD": 1}}
    assert tried(written(tmp_path, *LINES)).without_rate == []


def test_however_the_work_is_shared_the_report_is_the_same(tmp_path):
    lines = [
        bought(f"3-{1 + i % 27}", f"e{i}", f"{100 + 37 * (i % 29)}", f"customer-{i % 83}")
        for i in range(run._FEW + 100)
    ]
    file = written(tmp_path, *lines)
    alone, shared = tried(file, workers=1), tried(file, workers=2)
    assert alone == shared
    assert alone.customers == 83


def test_a_history_is_parted_by_customer_and_keeps_its_order(tmp_path):
    with Spill(tmp_path, 4) as spill:
        for place in range(100):
            spill.put(f"c{place % 10}".encode(), place, b"x")
    parts = [list(read(part)) for part in spill.parts]
    assert sum(map(len, parts)) == spill.events == 100
    assert spill.until_ms == 99
    for part in parts:
        assert [record.place for record in part] == sorted(record.place for record in part)
    homes = {record.place % 10: number for number, part in enumerate(parts) for record in part}
    assert all(homes[record.place % 10] == number for number, part in enumerate(parts) for record in part)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (b"a", b'{"subject": "a"}', ""),
        (b"a", b'{"subject": "b"}', "unreadable"),
        (b"a", b"no json", "unreadable"),
        (b"", b'{"subject": ""}', "unreadable"),
        (b"\0", b'{"subject": "\\u0000"}', "unreadable"),
    ],
)
def test_a_record_of_the_topic_is_taken_as_a_scorer_takes_it(key, value, why):
    assert dead(key, 0, 1, value) == why


def test_lines_that_are_no_events_are_counted_by_reason(tmp_path):
    (file := tmp_path / "bad.ndjson").write_text(
        '{"\n[]\n{"subject": "c"}\n{"receivedtime": "2026-01-01T00:00:00Z"}\n\n'
        '{"id": "1", "source": "s", "type": "form", "subject": "c"}\n'
        '{"id": "2", "source": "s", "type": "form", "subject": "c", "time": "soon"}\n'
    )
    told = tried(file, until="3-1")
    assert told.customers == 0
    assert told.dead == {
        "invalid-time": 1,
        "malformed-body": 1,
        "missing-field": 1,
        "no-time": 1,
        "not-an-event": 1,
        "unreadable": 1,
    }


@pytest.mark.parametrize("name", ["none.ndjson", "folder"])
def test_a_file_that_cannot_be_read(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unreadable, match="cannot be read"):
        tried(tmp_path / name)


def test_tallies_of_parts_add_up():
    one, other = Tally(), Tally()
    one.first_ms, other.first_ms = 5, None
    one.new.positions["tier", "good"] = other.new.positions["tier", "good"] = 2
    one.add(other)
    assert (one.first_ms, one.new.positions["tier", "good"]) == (5, 4)
    assert math.isclose(one.lived_ms, 0)


def test_what_is_decided_does_not_depend_on_whether_reasons_are_asked_for():
    policies, kept, bare = Policies.only(parse(POLICY)), [], []
    for told, reasons in ((kept, True), (bare, False)):
        customer = Customer.new(policies)
        for place, one in enumerate((bought("3-1", "1", "600"), bought("3-9", "2", "900", time=instant("3-2")))):
            at_ms = to_ms(datetime.fromisoformat(one["at"]))
            event = Normaliser()(json.dumps(one["event"]).encode(), to_datetime(at_ms))
            outcome = decide(customer, policies, [Arrival(event, at_ms, place, b"")], at_ms, reasons=reasons)
            told.extend(outcome.changes)
        told.extend(decide(customer, policies, (), at_ms + 90 * 86_400_000, "c", reasons=reasons).changes)
    assert [replace(change, conditions=[], next=None) for change in kept] == bare
    assert any(change.conditions for change in kept)
