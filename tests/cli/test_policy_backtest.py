"""`tierline policy backtest`: what it prints and writes, out of files and out of the topic."""

import asyncio
import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from services.cli.main import main
from services.demo import cdnow
from services.ingest.normalise import Normaliser
from services.shared.identities import Sequencer
from services.shared.kafka import create_topics
from services.shared.partitioner import partition_of
from services.shared.settings import KafkaSettings
from tests.analyst.scripts import POLICY, bought, instant
from tests.fixtures.broker import Broker
from tests.scorer.domain.full_policy import EXCERPT

LINES = (bought("3-1", "1", "600", "a"), bought("3-1", "1", "800", "b"), bought("3-2", "1", "-1", "c"))


@pytest.fixture
def backtest(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `tierline policy backtest` with a policy that is stricter than the old one: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "old.yaml").write_text(POLICY)
    (tmp_path / "new.yaml").write_text(POLICY.replace("sandbox", "strict").replace(">= 500", ">= 700"))

    def run(*args: object) -> tuple[int, str, str]:
        given = ["--policy", tmp_path / "new.yaml", *args]
        monkeypatch.setattr("sys.argv", ["tierline", "policy", "backtest", *map(str, given)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def events(tmp_path) -> Path:
    (file := tmp_path / "events.ndjson").write_text("".join(json.dumps(one["event"]) + "\n" for one in LINES))
    return file


def test_a_policy_of_which_a_part_is_not_carried_out_yet_is_tried(backtest, events, tmp_path):
    (tmp_path / "new.yaml").write_text(EXCERPT.replace("1_000_000", "700"))
    code, said, err = backtest("--against", tmp_path / "old.yaml", "--events", events, "--out", tmp_path / "report")
    assert (code, err) == (0, "")
    words = [" ".join(text.split()) for text in said.splitlines()]
    assert "tier enters key - - 1 1.00" in words, said
    assert "churn raised - - 0 0.00" in words, said


def test_it_prints_and_writes_who_moves(backtest, events, tmp_path):
    out = tmp_path / "reports" / "strict"
    code, said, err = backtest("--against", tmp_path / "old.yaml", "--events", events, "--out", out)
    assert (code, err) == (0, "")
    words = [" ".join(text.split()) for text in said.splitlines()]
    for wanted in (
        "2 customers, 3 events, 2026-03-01T00:00:00.000Z to 2026-03-02T00:00:00.000Z",
        "not taken, or not as sent: 1 negative-amount",
        "tier: old to new, 1 move",
        "good · 1 1 2",
        "who moves, by dimension and customer",
        "a tier good regular -",
        "old, new: announced moves. rate: flaps a month (30 days) and 1,000 customers",
    ):
        assert wanted in words, said
    assert any(text.endswith("under both policies") and "3 events in" in text for text in words)
    assert list(csv.reader((out / "moves.csv").open())) == [
        ["customer", "dimension", "from", "to", "since"],
        ["a", "tier", "good", "regular", ""],
    ]
    report = json.loads((out / "report.json").read_text())
    assert report["moved"] == 1
    move = {"customer": "a", "dimension": "tier", "before": "good", "after": "regular", "since": None}
    assert report["moves"] == {"total": 1, "first": [move]}
    assert list(csv.reader((out / "matrix.csv").open())) == [
        ["dimension", "from", "to", "customers"],
        ["tier", "good", "good", "1"],
        ["tier", "good", "regular", "1"],
        ["stage", "buying", "buying", "2"],
        ["north", "no", "no", "2"],
        ["churn", "no", "no", "2"],
    ]
    page = (out / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") >= 3
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_the_same_history_gives_the_same_files(backtest, events, tmp_path):
    for out in ("one", "two"):
        backtest("--against", tmp_path / "old.yaml", "--events", events, "--out", tmp_path / out)
    for name in ("report.html", "report.json", "moves.csv", "matrix.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_id_that_a_spreadsheet_would_run_is_written_as_text(backtest, events, tmp_path):
    names = ["=cmd|' /C calc'!A0", "+1", "-1", "@a", "a=1"]
    lines = [bought("3-1", str(n), "600", name) for n, name in enumerate(names)]
    events.write_text("".join(json.dumps(one["event"]) + "\n" for one in lines))
    code, _, err = backtest("--against", tmp_path / "old.yaml", "--events", events, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    written = [row[0] for row in csv.reader((tmp_path / "out" / "moves.csv").open())][1:]
    assert sorted(written) == sorted(["'=cmd|' /C calc'!A0", "'+1", "'-1", "'@a", "a=1"])


@pytest.mark.parametrize(("times", "told"), [(1, "1 duplicate"), (2, "2 duplicates")])
def test_duplicates_are_counted_as_people_say_it(backtest, events, tmp_path, times, told):
    events.write_text(events.read_text() + (json.dumps(LINES[0]["event"]) + "\n") * times)
    _, said, _ = backtest("--events", events, "--out", tmp_path / "out")
    assert f"not taken, or not as sent: {told}, 1 negative-amount" in said.splitlines()
    assert f"Not taken, or not as sent: {told}, 1 negative-amount." in (tmp_path / "out" / "report.html").read_text()


def test_as_json(backtest, events):
    code, said, _ = backtest("--events", events, "--until", instant("4-15"), "--json")
    report = json.loads(said)
    assert (code, report["old"], report["until"]) == (0, None, "2026-04-15T00:00:00.000Z")


def test_as_json_every_instant_has_milliseconds(backtest, events, tmp_path):
    late = [bought("3-5", "7", "600", "d", time="2026-03-05T00:00:00.001Z"), bought("3-6", "8", "150", "d")]
    events.write_text(events.read_text() + "".join(json.dumps(one["event"]) + "\n" for one in late))
    (tmp_path / "old.yaml").write_text(POLICY.replace(">= 500", ">= 900"))
    _, said, _ = backtest("--events", events, "--against", tmp_path / "old.yaml", "--json")
    told = json.loads(said)
    instants = [told["first"], told["until"], *(move["since"] for move in told["moves"]["first"] if move["since"])]
    assert instants == [instant("3-1"), instant("3-6"), instant("3-1"), instant("3-6")]
    _, said, _ = backtest("--events", events, "--until", "2026-03-05T00:00:00.001Z", "--json")
    assert json.loads(said)["until"] == "2026-03-05T00:00:00.001Z"


def test_rows_of_purchases(backtest, tmp_path):
    (file := tmp_path / "rows.txt").write_text("00001 19970101 1 11.77\n00002 19970112 5 77.00\n")
    code, said, _ = backtest("--cdnow", file, "--json")
    report = json.loads(said)
    assert (code, report["customers"], report["events"], report["dead"]) == (0, 2, 2, {})
    assert report["first"] == "1997-01-01T12:00:00.000Z"
    assert cdnow.FILE.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "name a history"),
        (("--events", "x", "--topic"), "name one history"),
        (("--events", "none.ndjson"), "none.ndjson cannot be read"),
        (("--cdnow", "none.txt"), "none.txt cannot be read"),
        (("--events", "EVENTS", "--until", "soon"), "--until: 'soon' is not RFC 3339"),
        (("--events", "EVENTS", "--against", "none.yaml"), "none.yaml"),
        (("--events", "EVENTS", "--out", "EVENTS"), "cannot be made a folder"),
    ],
)
def test_misuse_is_one_line(backtest, events, options, words):
    code, said, err = backtest(*(events if option == "EVENTS" else option for option in options))
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert words in err


def test_a_byte_order_mark_is_passed_over(backtest, events):
    events.write_text(events.read_text(), "utf-8-sig")
    assert json.loads(backtest("--events", events, "--json")[1])["customers"] == 2


def test_what_no_ledger_can_keep_the_time_of_is_left_out_and_does_not_set_the_clock(backtest, events, tmp_path):
    late = json.dumps(LINES[0]["event"] | {"id": "9", "time": "9999-12-31T00:00:00.000Z"})
    events.write_text(events.read_text() + late + "\n")
    told = json.loads(backtest("--events", events, "--json")[1])
    assert (told["customers"], told["until"]) == (2, "2026-03-02T00:00:00.000Z")
    assert told["dead"] == {"negative-amount": 1, "time-out-of-range": 1}
    (rows := tmp_path / "rows.txt").write_text("00001 19970101 1 11.77\n00001 99991231 1 11.77\n")
    code, _, err = backtest("--cdnow", rows)
    assert (code, err.count("\n")) == (2, 1)
    assert "rows.txt:2: 99991231 is before 1970 or after 5999" in err


def test_customers_are_named_as_they_are_called(backtest, events, tmp_path):
    """Not as if brackets were for the terminal."""
    names = ["[/x]", "[red]c[/red]", "c[bold]"]
    lines = [bought("3-1", str(n), "600", name) for n, name in enumerate(names)]
    events.write_text("".join(json.dumps(one["event"]) + "\n" for one in lines))
    code, said, err = backtest("--against", tmp_path / "old.yaml", "--events", events)
    assert (code, err) == (0, "")
    words = [" ".join(text.split()) for text in said.splitlines()]
    assert all(f"{name} tier good regular -" in words for name in names), said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "events.ndjson is empty"),
        (" \n\n", "events.ndjson is empty"),
        (json.dumps(LINES[0]) + "\n", "seems to be a script for `tierline simulate` (1 missing-field)"),
        ("00001 19970101 1 11.77\n", "seems to be rows of purchases, which --cdnow reads"),
        ("[\n]\n", "seems to be no NDJSON: its first line is no JSON object"),
        ("[]", "seems to be no NDJSON: its first line is no JSON object"),
        (json.dumps(LINES[2]["event"]), "has no event that can be taken (1 negative-amount)"),
    ],
)
def test_a_file_without_any_event_that_can_be_taken_is_misuse_and_told_what_it_seems_to_be(
    backtest, events, content, words
):
    events.write_text(content)
    code, said, err = backtest("--events", events)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert words in err
    assert err.endswith("; --events reads events one a line, as they are posted or as they stand on topic events\n")


def test_a_file_whose_events_are_all_later_than_the_instant_asked_for_is_misuse(backtest, events):
    code, said, err = backtest("--events", events, "--until", instant("2-1"))
    assert (code, said) == (2, "")
    assert "has no event up to 2026-02-01T00:00:00.000Z; give a later --until" in err


@pytest.fixture
async def installation(kafka: Broker, topic_prefix: str, monkeypatch) -> KafkaSettings:
    """Topics without anything in them, which the command line is to look at."""
    settings = KafkaSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=3)
    await asyncio.to_thread(create_topics, settings)
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("TIERLINE_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("TIERLINE_PARTITIONS", "3")
    return settings


def kept(line: dict, **changed: str) -> bytes:
    """As ingest writes the event of a line to the topic."""
    return msgspec.json.encode(Normaliser()(json.dumps({**line["event"], **changed}).encode(), datetime.now(UTC)))


def produce(settings: KafkaSettings, *lines: dict) -> None:
    for line in lines:
        key = line["event"]["subject"].encode()
        append(settings, key, kept(line), partition_of(key, settings.partitions))


def append(settings: KafkaSettings, key: bytes, value: bytes, partition: int) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    producer.produce(settings.topic("events"), value, key, partition)
    assert producer.flush(30) == 0


async def test_out_of_the_topic(backtest, installation):
    await asyncio.to_thread(produce, installation, *LINES[:2])
    code, said, err = await asyncio.to_thread(backtest, "--topic", "--until", "2100-01-01T00:00:00Z", "--json")
    assert (code, err) == (0, "")
    assert (json.loads(said)["customers"], json.loads(said)["events"]) == (2, 2)


async def test_what_a_scorer_does_not_take_from_where_it_stands_is_not_played(backtest, installation):
    await asyncio.to_thread(produce, installation, *LINES[:2])
    elsewhere = (partition_of(b"b", 3) + 1) % 3
    await asyncio.to_thread(append, installation, b"z", kept(LINES[0], id="other"), partition_of(b"z", 3))
    await asyncio.to_thread(append, installation, b"b", kept(LINES[1], id="other"), elsewhere)
    await asyncio.to_thread(append, installation, b"b", b"nothing that can be read", elsewhere)
    for field in ("id", "subject"):
        spoilt = kept(LINES[1], **{field: "?"}).replace(b'"?"', b'"\xff"')
        await asyncio.to_thread(append, installation, b"b", spoilt, elsewhere)
    code, said, err = await asyncio.to_thread(backtest, "--topic", "--until", "2100-01-01T00:00:00Z", "--json")
    report = json.loads(said)
    assert (code, err) == (0, "")
    assert (report["customers"], report["events"]) == (2, 7)
    assert report["dead"] == {"unreadable": 3, "wrong_partition": 2}


async def test_out_of_the_topic_merged_customers_are_one_and_erased_ones_are_not_named(
    backtest, installation, tmp_path
):
    #  a  300.00 ─┐ merged, with 300.00 that came later for the old name: 900.00, good under both
    #  b  300.00 ─┘     c, d: 300.00 each, merged: good only by the old policy     e  600.00 ──╳ erased
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    paid = {"a": "300", "b": "300", "c": "300", "d": "300", "e": "600"}
    lines = [bought("3-1", f"order-{subject}", amount, subject, time=yesterday) for subject, amount in paid.items()]
    await asyncio.to_thread(produce, installation, *lines)
    sequencer = Sequencer(installation)
    for other, into in (("a", "b"), ("c", "d")):
        await asyncio.to_thread(sequencer.append, lambda known, o=other, i=into: known.merge(o, i, datetime.now(UTC)))
    await asyncio.to_thread(produce, installation, bought("3-1", "later", "300", "a", time=yesterday))
    await asyncio.to_thread(sequencer.append, lambda known: known.erase("e", datetime.now(UTC)))
    sequencer.close()
    arguments = ("--topic", "--against", tmp_path / "old.yaml", "--out", tmp_path / "out", "--json")
    code, said, err = await asyncio.to_thread(backtest, *arguments)
    report = json.loads(said)
    assert (code, err) == (0, "")
    assert (report["customers"], report["events"], report["dead"]) == (2, 6, {"erased": 1})
    tier = next(view for view in report["dimensions"] if view["name"] == "tier")
    assert [(c["before"], c["after"], c["customers"]) for c in tier["matrix"]] == [
        ("good", "good", 1),
        ("good", "regular", 1),
    ]
    moves = list(csv.reader((tmp_path / "out" / "moves.csv").open()))
    assert moves[1:] == [["d", "tier", "good", "regular", ""]]
