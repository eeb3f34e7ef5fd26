"""`tierline dead-letters list | show | repair | resend`, on a broker, with an ingest to send to."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from schemas.decisions import LETTER_BYTES, DeadLetter, DeadLetterReason
from schemas.events import Event
from services.analyst import words
from services.ingest.app import build
from services.local.ports import free_port
from services.scorer.engine.dead_letters import LONGEST_TEXT
from services.shared.serving import Running
from services.shared.settings import IngestSettings
from tests.commandline import tierline
from tests.fixtures.broker import Broker
from tests.scorer.engine.installation import Installation, ago, purchase
from tests.scorer.engine.traffic import everything_taken
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

_encode = msgspec.json.encode


class Desk:
    """An operator's: an installation of two partitions, an ingest, and the command line."""

    def __init__(self, installation: Installation, ingest: str, monkeypatch: Any, capsys: Any) -> None:
        self.installation, self.ingest = installation, ingest
        self._monkeypatch, self._capsys = monkeypatch, capsys

    async def __call__(self, *args: object) -> tuple[int, str, str]:
        """Run `tierline dead-letters ...`: exit code, stdout, stderr."""
        self._capsys.readouterr()  # what ingest has logged
        return await tierline(self._monkeypatch, self._capsys, "dead-letters", *args)

    async def listed(self, *args: object) -> list[dict[str, Any]]:
        code, out, _ = await self("list", "--json", *args)
        assert code == 0
        return [json.loads(line) for line in out.splitlines()]

    async def resend(self, *args: object) -> tuple[int, list[dict[str, Any]]]:
        code, out, _ = await self("resend", "--json", "--by", "li", "--ingest", self.ingest, *args)
        return code, [json.loads(line) for line in out.splitlines()]

    async def letter(
        self,
        event: Event | bytes,
        reason: DeadLetterReason = "poison",
        *,
        partition: int = 0,
        at: datetime | None = None,
        offset: int = 0,
    ) -> str:
        """Write a dead letter as the scorer would; its id."""
        raw = event if isinstance(event, bytes) else _encode(event)
        known = None if isinstance(event, bytes) else event
        letter = DeadLetter(
            reason=reason,
            detail="made up",
            subject=known and known.subject[:LONGEST_TEXT],
            id=known and known.id[:LONGEST_TEXT],
            topic=self.installation.settings.topic("events"),
            partition=partition,
            offset=offset,
            at=at or ago(0),
            event=raw[:LETTER_BYTES],
        )
        key = known.subject.encode() if known else b""
        await asyncio.to_thread(self.installation.write, "dead-letters", _encode(letter), key, partition)
        stored = await asyncio.to_thread(self.installation.read, "dead-letters")
        return f"{partition}:{max(record.offset for record in stored if record.partition == partition)}"

    async def events(self) -> list[dict[str, Any]]:
        """What stands on topic events."""
        return [json.loads(record.value) for record in await asyncio.to_thread(self.installation.read, "events")]


@pytest_asyncio.fixture(loop_scope="session")
async def desk(
    kafka: Broker,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> AsyncIterator[Desk]:
    installation = await asyncio.to_thread(Installation, kafka.bootstrap, topic_prefix, tmp_path)
    for name, value in installation.env.items():
        monkeypatch.setenv(name, value)
    settings = IngestSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=2, port=0)
    async with Running(build(settings)) as ingest:
        yield Desk(installation, ingest.url, monkeypatch, capsys)


async def test_without_any_that_is_said(desk: Desk) -> None:
    assert await desk("list") == (0, "no dead letters\n", "")
    assert await desk("list", "--json") == (0, "", "")


async def test_they_are_listed_the_oldest_first_and_filtered(desk: Desk) -> None:
    new = await desk.letter(purchase("a", id="new"), "poison", at=ago(10))
    old = await desk.letter(purchase("b", id="old"), "id_conflict", partition=1, at=ago(1000))
    junk = await desk.letter(b"no json [", "unreadable", at=ago(5))
    assert [one["letter"] for one in await desk.listed()] == [old, new, junk]
    assert [one["letter"] for one in await desk.listed("--reason", "poison")] == [new]
    assert [one["letter"] for one in await desk.listed("--subject", "b")] == [old]
    assert [one["letter"] for one in await desk.listed("--since", words.instant(ago(100)))] == [new, junk]
    code, out, _ = await desk("list")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert [old, "id_conflict", "b", "old"] in [row[:4] for row in rows]
    assert [junk, "unreadable"] in [row[:2] for row in rows]
    assert rows[-1] == ["3", "letters,", "3", "not", "sent", "again"]


@pytest.mark.parametrize("width", [80, 100, 200])
async def test_in_a_terminal_of_any_width_a_letters_id_is_whole_and_what_is_too_long_is_cut(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    monkeypatch.setenv("COLUMNS", str(width))
    letters = [
        await desk.letter(purchase("s" * 128, id="i" * 128), "refund_exceeds_order", partition=1),
        await desk.letter(purchase("a", id="e")),
    ]
    code, out, _ = await desk("list")
    assert code == 0
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()]
    assert max(map(len, lines)) <= width
    long, short = (next(line.split() for line in lines if line.split()[:1] == [letter]) for letter in letters)
    assert [text[:3] + text[-1] for text in long[2:4]] == ["sss…", "iii…"]
    assert short[1:4] == ["poison", "a", "e"]


async def test_one_is_shown_with_its_bytes_and_where_they_stand(desk: Desk) -> None:
    letter = await desk.letter(purchase("a", 60, id="e"), offset=17)
    code, out, _ = await desk("show", letter)
    assert code == 0
    assert f"letter   {letter}, open" in out
    assert f"stands   at {desk.installation.settings.topic('events')}-0 offset 17" in out
    assert '"amount_minor":6000' in out
    code, out, _ = await desk("show", letter, "--json")
    shown = json.loads(out)
    assert (shown["reason"], shown["state"], shown["as_posted"]["data"]["amount"]) == ("poison", "open", "60.00")
    junk = await desk.letter(b"\xffno json", "unreadable")
    assert "\\xffno json" in (await desk("show", junk))[1]


async def test_bytes_that_were_cut_are_read_whole_where_they_stand(desk: Desk) -> None:
    long = _encode(purchase("a", id="e")).replace(b'"currency"', b'"note":"%s","currency"' % (b"x" * 800_000))
    await asyncio.to_thread(desk.installation.send_raw, long, b"a", 0)
    letter = await desk.letter(long, "unreadable", offset=0)
    shown = json.loads((await desk("show", letter, "--json"))[1])
    assert (len(shown["original"]), shown["cut"]) == (len(long), False)
    assert (await desk("repair", letter, "--unset", "data.note", "--by", "li"))[0] == 0
    gone = await desk.letter(long, "unreadable", offset=7)
    shown = json.loads((await desk("show", gone, "--json"))[1])
    assert (len(shown["original"]), shown["cut"]) == (LETTER_BYTES, True)
    code, [said] = await desk.resend(gone)
    assert (code, said["status"]) == (1, "not sent")
    assert "no longer" in said["detail"]


async def test_a_repair_is_checked_shown_and_kept_until_it_is_sent(desk: Desk, tmp_path: Path) -> None:
    letter = await desk.letter(purchase("a", 60, id="e"))
    code, out, err = await desk("repair", letter, "--set", "data.amount=12.305", "--by", "li")
    assert (code, err.count("\n")) == (1, 1)
    assert out.splitlines()[0] == '~ data.amount: "60.00" -> "12.305"'
    assert "not kept, ingest would refuse it: data.amount: '12.305' has 3 decimals" in err
    assert [one["state"] for one in await desk.listed()] == ["open"]
    code, out, _ = await desk("repair", letter, "--set", "data.amount=12.30", "--by", "li")
    assert code == 0
    assert '~ data.amount: "60.00" -> "12.30"' in out
    assert f"kept; `tierline dead-letters resend {letter}` sends it" in out
    [one] = await desk.listed()
    assert (one["state"], one["handled"]["repaired_by"]) == ("repaired", "li")
    _, out, _ = await desk("repair", letter, "--set", "data.order=o-1", "--by", "li", "--json")
    assert json.loads(out)["differences"] == ['~ data.amount: "60.00" -> "12.30"', '+ data.order: "o-1"']
    code, [said] = await desk.resend(letter)
    assert (code, said["status"]) == (0, "sent")
    [event] = await desk.events()
    assert (event["id"], event["data"]) == ("e", {"amount_minor": 1230, "currency": "EUR", "order": "o-1"})
    assert "resent" in (await desk("show", letter))[1]
    # another repair after it was sent: there is something to send again
    (tmp_path / "event.json").write_text(json.dumps({**said["event"], "id": "other"}))
    assert (await desk("repair", letter, "--file", tmp_path / "event.json", "--by", "li"))[0] == 0
    assert [one["state"] for one in await desk.listed("--open")] == ["repaired"]
    assert (await desk.resend(letter))[0] == 0
    assert [event["id"] for event in await desk.events()] == ["e", "other"]


MISUSED = (
    (("show", "seventeen"), "'seventeen' is no letter's id, which is as 0:17"),
    (("show", "0:17"), "there is no dead letter 0:17"),
    (("show", "9:0"), "there is no dead letter 9:0"),
    (("repair", "0:0"), "say what is to be changed: --set, --unset or --file"),
    (("repair", "0:0", "--set", "id"), "write it as --set data.amount=12.30"),
    (("repair", "0:0", "--file", "none.json"), "none.json cannot be read"),
    (("repair", "0:0", "--file", "list.json"), "list.json is no JSON object"),
    (("repair", "0:0", "--file", "x", "--set", "a=b"), "--file or --set and --unset, not both"),
    (("resend",), "name letters, or say --all --reason REASON"),
    (("resend", "--all"), "--all and --reason go together"),
    (("resend", "0:0", "--reason", "poison"), "--all and --reason go together"),
    (("list", "--since", "yesterday"), "write it as 2026-03-01T00:00:00Z"),
    (("list", "--reason", "bad"), "'bad' is not one of 'id_conflict'"),
)


async def test_misuse_is_one_line(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[]")
    await desk.letter(purchase("a"))
    for args, said in MISUSED:
        code, out, err = await desk(*args)
        assert (code, out, err.count("\n")) == (2, "", 1), args
        assert said in err, args


async def test_a_repair_that_takes_more_than_a_record_may_is_one_line(desk: Desk, tmp_path: Path) -> None:
    letter = await desk.letter(purchase("a", 60, id="e"))
    event = json.loads((await desk("show", letter, "--json"))[1])["as_posted"]
    (tmp_path / "long.json").write_text(json.dumps({**event, "note": "x" * 1_050_000}))
    code, _, err = await desk("repair", letter, "--file", tmp_path / "long.json", "--by", "li")
    assert (code, err.count("\n")) == (1, 1)
    assert re.search(rf"letter {letter}: the event and what was done take 1,05\d,\d+ of 1,048,576 bytes", err)


@pytest.mark.parametrize(("topic", "key"), [("dead-letters-handled", b"nine"), ("dead-letters", b"a")])
async def test_what_somebody_else_wrote_to_the_topics_is_one_line(desk: Desk, topic: str, key: bytes) -> None:
    await asyncio.to_thread(desk.installation.write, topic, b"hello", key, 0)
    code, out, err = await desk("list")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"{desk.installation.settings.topic(topic)}-0 offset 0 cannot be read" in err


async def test_a_dry_run_sends_nothing_and_what_was_sent_is_not_sent_twice(desk: Desk) -> None:
    letter = await desk.letter(purchase("a", 60, id="e"))
    code, [said] = await desk.resend(letter, "--dry-run")
    assert (code, said["status"], said["event"]["data"]["amount"]) == (0, "would be sent", "60.00")
    assert await desk.events() == []
    code, [said] = await desk.resend(letter)
    assert (code, said["status"]) == (0, "sent")
    [one] = await desk.listed()
    assert (one["state"], one["handled"]["resent_id"], one["handled"]["resent_by"]) == ("resent", "e", "li")
    assert {name: one["handled"][name] for name in ("partition", "offset")}.keys() == {"partition", "offset"}
    assert await desk.listed("--open") == []
    code, [said] = await desk.resend(letter)
    assert (code, said["status"]) == (1, "was sent before")
    assert "by li, as e; --again sends it once more" in said["detail"]
    assert len(await desk.events()) == 1
    assert (await desk.resend(letter, "--again"))[0] == 0
    assert [event["id"] for event in await desk.events()] == ["e", "e"]


async def test_many_need_to_be_confirmed(desk: Desk) -> None:
    for number in range(11):
        await desk.letter(purchase(f"c{number}", id=f"e{number}"))
    await desk.letter(purchase("other"), "wrong_partition")
    code, out, err = await desk("resend", "--all", "--reason", "poison", "--ingest", desk.ingest)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "11 events would be sent" in err
    assert await desk.events() == []
    code, said = await desk.resend("--all", "--reason", "poison", "--yes")
    assert (code, [one["status"] for one in said]) == (0, ["sent"] * 11)
    assert sorted(event["id"] for event in await desk.events()) == sorted(f"e{number}" for number in range(11))
    assert await desk.resend("--all", "--reason", "poison") == (0, [])
    assert [one["reason"] for one in await desk.listed("--open")] == ["wrong_partition"]


async def test_what_would_only_come_back_is_not_sent_and_it_says_what_to_do(desk: Desk) -> None:
    order = purchase("a", 60, id="e")
    conflict = await desk.letter(order, "id_conflict")
    others: dict[DeadLetterReason, str] = {
        "order_conflict": "data.order=",
        "refund_currency": "a new id",
        "refund_exceeds_order": "a new id",
        "too_old": "nothing so old",
        "ledger_full": "is full",
    }
    for reason, said in others.items():
        code, [told] = await desk.resend(await desk.letter(order, reason))
        assert (code, told["status"]) == (1, "not sent")
        assert said in told["detail"]
    code, [told] = await desk.resend(conflict)
    assert (code, "--new-id" in told["detail"]) == (1, True)
    _, out, _ = await desk("repair", conflict, "--set", "data.amount=61", "--by", "li")
    assert "but as it is it would only come back" in out
    assert await desk.events() == []
    code, [told] = await desk.resend(conflict, "--new-id")
    assert (code, told["status"]) == (0, "sent")
    assert (await desk.resend(conflict, "--new-id", "--again"))[0] == 0
    own = "e-letter-0-0"  # the same both times: the second is a duplicate
    assert [(event["id"], event["data"]["amount_minor"]) for event in await desk.events()] == [(own, 6100)] * 2


async def test_what_had_its_subject_or_id_cut_is_never_sent_under_what_is_left_of_it(desk: Desk) -> None:
    long = [purchase("s" * 2_000, id="e"), purchase("a", id="i" * 2_000)]
    cut = [await desk.letter(event, "id_conflict") for event in long]
    code, said = await desk.resend(*cut, "--new-id")
    assert (code, [one["status"] for one in said]) == (1, ["not sent"] * 2)
    assert ["2000 characters" in one["detail"] for one in said] == [True, True]
    assert await desk.events() == []


async def test_what_cannot_be_posted_waits_for_a_repair(desk: Desk) -> None:
    junk = await desk.letter(b"no json", "unreadable")
    foreign = await desk.letter(b'{"type": "order", "id": "e"}', "unreadable")
    code, said = await desk.resend(junk, foreign)
    assert (code, [one["status"] for one in said]) == (1, ["not sent", "not sent"])
    assert "repair it with --file" in said[0]["detail"]
    assert "ingest would refuse it; repair it: type:" in said[1]["detail"]
    assert await desk.events() == []


async def test_ingest_away_is_one_line_and_nothing_is_marked(desk: Desk) -> None:
    letter = await desk.letter(purchase("a"))
    code, out, err = await desk("resend", letter, "--ingest", f"http://127.0.0.1:{free_port()}")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "does not answer" in err
    assert [one["state"] for one in await desk.listed()] == ["open"]


async def test_what_ingest_itself_refuses_is_told_and_the_rest_is_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # this side would let the subject pass, the ingest that runs does not
    monkeypatch.setenv("TIERLINE_INGEST_ALLOW_PERSONAL_SUBJECTS", "true")
    bad, good = await desk.letter(purchase("li@shop.example")), await desk.letter(purchase("a", id="e"))
    code, said = await desk.resend(bad, good)
    assert (code, [one["status"] for one in said]) == (1, ["not sent", "sent"])
    assert "e-mail address" in said[0]["detail"]
    assert {one["letter"]: one["state"] for one in await desk.listed()} == {bad: "open", good: "resent"}


@pytest.mark.timeout(180)
async def test_what_was_not_taken_ends_in_the_right_tier_once_it_is_put_right(desk: Desk) -> None:
    #  silver from 100 on, gold from 1,000 on
    #  poison    60 ●  ☠ 60                 ─── resent to a sound scorer ──────────▶ silver
    #  stray     ☠ 100 on the wrong partition ─ resent ───────────────────────────▶ silver
    #  foreign   ☠ 1,200 as shorthand ────────── resent ──────────────────────────▶ gold
    #  spoilt    ☠ "12,00" ───────────────────── repaired to 1200.00, resent ──────▶ gold
    #  twice     60 ● ☠ 70 with the same id ──── resent with --new-id ─────────────▶ silver
    of = desk.installation
    poison, foreign, spoilt, twice = of.customers(0, 4)
    [stray] = of.customers(1, 1)
    began = ago(60)

    def order(subject: str, euros: int, id_: str, second: int) -> Event:
        return purchase(subject, euros, id=id_, at=began + timedelta(seconds=second))

    shorthand = {"id": "f", "source": "till", "type": "purchase", "subject": foreign, "amount": 1200.00}
    written = json.dumps({**shorthand, "currency": "EUR", "time": words.instant(began)}).encode()
    broken = _encode(order(spoilt, 12, "s", 0)).replace(b"1200", b'"12,00"')
    async with await WorkerProcess.start(of, argv=("-m", "tests.scorer.engine.poisoned")) as worker:
        await worker.ready()
        sent = [
            order(poison, 60, "p", 0),
            order(poison, 60, "poison-1", 1),
            order(twice, 60, "t", 2),
            order(twice, 70, "t", 3),
        ]
        await asyncio.to_thread(of.send, sent)
        for value, key in ((written, foreign), (broken, spoilt), (_encode(order(stray, 100, "w", 4)), stray)):
            await asyncio.to_thread(of.send_raw, value, key.encode(), 0)
        await everything_taken(of)
        assert await worker.stop() == 0
    letters = {(one["reason"], one["id"]): one["letter"] for one in await desk.listed()}
    assert letters.keys() == {
        ("poison", "poison-1"),
        ("id_conflict", "t"),
        ("wrong_partition", "w"),
        ("unreadable", None),
    }
    unreadable = [one["letter"] for one in await desk.listed("--reason", "unreadable")]
    assert await tiers(of) == {}
    async with await WorkerProcess.start(of) as worker:
        await worker.ready()
        spoilt_letter = unreadable[1]
        fixed = ("--unset", "data.amount_minor", "--set", "data.amount=1200.00", "--by", "li")
        assert (await desk("repair", spoilt_letter, *fixed))[0] == 0
        conflict = letters["id_conflict", "t"]
        assert (await desk.resend("--all", "--reason", "unreadable"))[0] == 0
        assert (await desk.resend(letters["poison", "poison-1"], letters["wrong_partition", "w"]))[0] == 0
        assert (await desk.resend(conflict))[0] == 1
        assert (await desk.resend(conflict, "--new-id"))[0] == 0
        expected = {poison: "silver", stray: "silver", foreign: "gold", spoilt: "gold", twice: "silver"}

        async def right() -> bool:
            return await tiers(of) == expected

        await until(right, within=30, what=f"{expected}")
        everything = [one["letter"] for one in await desk.listed()]
        assert (await desk.resend(*everything, "--again", "--new-id"))[0] == 0
        await everything_taken(of)
        assert await worker.stop() == 0
    assert await tiers(of) == expected
    customers, _ = await asyncio.to_thread(of.state)
    assert {name: len(customer.ledger) for name, customer in customers.items()} == {
        poison: 2, stray: 1, foreign: 1, spoilt: 1, twice: 2,
    }  # fmt: skip
    assert len(await asyncio.to_thread(of.dead_letters)) == len(everything) == 5


async def tiers(of: Installation) -> dict[str, object]:
    """Where everybody stands who has moved."""
    decisions = await asyncio.to_thread(of.decisions)
    return {decision.subject: decision.after for decision in decisions if decision.dimension == "tier"}
