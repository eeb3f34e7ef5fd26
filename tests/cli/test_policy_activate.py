"""`tierline policy activate`, `rollback` and `history`, on a broker of their own topics."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from schemas.control import Activation
from services.analyst import words
from services.cli import activation
from services.cli.policy_rollback import previous
from services.ingest.normalise import Normaliser
from services.local.ports import free_port
from services.scorer.domain.instants import to_datetime
from services.shared.control import Control, Overtaken
from services.shared.identities import Sequencer
from services.shared.kafka import create_topics
from services.shared.settings import KafkaSettings
from tests import commandline
from tests.analyst.scripts import POLICY, bought
from tests.fixtures.broker import Broker
from tests.scorer.domain.full_policy import EXCERPT

LENIENT = POLICY.replace(">= 500", ">= 400")
STRICT = POLICY.replace(">= 500", ">= 700")
NOW = datetime.now(UTC).replace(microsecond=0)  # the topic's records arrive now, whatever the test would like
BOUGHT = (NOW - timedelta(days=1)).isoformat()
UNTIL_AT = words.instant(NOW + timedelta(hours=1))
UNTIL = ("--until", UNTIL_AT)


@pytest.fixture
async def tierline(kafka: Broker, topic_prefix: str, tmp_path: Path, monkeypatch, capsys):
    """Run `tierline policy ...` in an installation with 40 customers, a quarter of whom 700 would part from `good`."""
    settings = KafkaSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=2)
    await asyncio.to_thread(create_topics, settings)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    for number in range(40):
        posted = bought("3-1", f"o{number}", "600" if number % 4 == 0 else "900", f"c{number}", time=BOUGHT)["event"]
        event = Normaliser()(json.dumps(posted).encode(), NOW)
        producer.produce(settings.topic("events"), msgspec.json.encode(event), event.subject.encode())
    assert producer.flush(30) == 0
    for name, text in (("first", POLICY), ("lenient", LENIENT), ("strict", STRICT)):
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("TIERLINE_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("TIERLINE_PARTITIONS", "2")
    monkeypatch.setenv("TIERLINE_POLICY", str(tmp_path / "first.yaml"))
    monkeypatch.chdir(tmp_path)

    async def run(*args: object) -> tuple[int, str, str]:
        return await commandline.tierline(monkeypatch, capsys, "policy", *args)

    return run


async def control(tierline) -> list[dict]:
    code, out, _ = await tierline("history", "--json")
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


async def test_a_policy_that_moves_few_is_written_and_told(tierline):
    code, out, err = await tierline("activate", "lenient.yaml", "--by", "li", *UNTIL)
    assert (code, err) == (0, "")
    assert out.startswith("number 2: sandbox (")
    assert "0 of 40 customers (0.00 %) move" in out
    begun, one = await control(tierline)
    assert (begun["sequence"], begun["activated_by"], begun["text"]) == (1, "the first start", POLICY)
    assert (one["sequence"], one["activated_by"], one["text"], len(one["differences"])) == (2, "li", LENIENT, 1)
    lead = datetime.fromisoformat(one["effective_at"]) - datetime.fromisoformat(one["activated_at"])
    assert lead == timedelta(milliseconds=500), "so that every worker knows of it before it holds"


async def test_a_calibration_alone_is_activated_in_the_policy_that_holds(tierline, tmp_path):
    (tmp_path / "calibration.yaml").write_text("# by `tierline fit`\ncalibration:\n  top_spend: 8_000\n")
    code, _, err = await tierline("activate", "--calibration", "calibration.yaml", *UNTIL)
    assert (code, err) == (0, "")
    _, one = await control(tierline)
    assert one["text"] == POLICY.rstrip() + "\ncalibration:\n  top_spend: 8_000\n"
    assert [d["item"] for d in one["differences"]] == [["calibration", "top_spend"]]
    (tmp_path / "calibration.yaml").write_text("calibration:\n  top_spend: 9_000\n")
    assert (await tierline("activate", "--calibration", "calibration.yaml", *UNTIL))[0] == 0
    assert (await control(tierline))[-1]["text"].count("calibration:") == 1
    (tmp_path / "calibration.yaml").write_text("calibration:\n  bg_nbd: {r: 1, alpha: 2, a: 3, b: 4}\n")
    code, out, err = await tierline("activate", "--calibration", "calibration.yaml", *UNTIL)
    assert (code, err, out.splitlines()[0]) == (0, "", "calibration.yaml has no top_spend: as in control number 3")
    said = "calibration:\n  bg_nbd: {r: 1, alpha: 2, a: 3, b: 4, unit: week}\n  top_spend: 9_000\n"
    assert (await control(tierline))[-1]["text"].endswith(said)
    _, out, err = await tierline("activate", "first.yaml", "--calibration", "calibration.yaml", *UNTIL, "--json")
    assert (json.loads(out)["sequence"], err) == (5, ""), "what the file says stays, not what was activated last"
    (tmp_path / "bare.yaml").write_text(POLICY.replace("features:", "features:\n  alive: {p_alive: purchase}"))
    assert (await tierline("activate", "bare.yaml", "--calibration", "calibration.yaml", *UNTIL))[0] == 0
    (tmp_path / "calibration.yaml").write_text("policy: x\n")
    code, _, err = await tierline("activate", "--calibration", "calibration.yaml", *UNTIL)
    assert (code, err.count("\n"), "`tierline fit --out` writes one" in err) == (2, 1, True)
    assert (await tierline("activate"))[0] == 2


async def test_a_policy_that_moves_many_needs_their_exact_number(tierline):
    code, out, err = await tierline("activate", "strict.yaml", *UNTIL)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "10 of 40 customers (25.00 %) would move, more than 5 %" in err
    assert err.strip().endswith(f"--until {UNTIL_AT} --confirm 10")
    assert (await tierline("activate", "strict.yaml", *UNTIL, "--confirm", 9))[0] == 3
    assert await control(tierline) == []
    assert (await tierline("activate", "strict.yaml", *UNTIL, "--confirm", 10))[0] == 0
    assert len(await control(tierline)) == 2


async def test_merged_customers_are_one_and_erased_ones_none_for_the_number_that_guards(tierline, kafka, topic_prefix):
    #  c0  600.00 ─┐ one customer with 1,500.00, whom nothing moves        c4  600.00 ──╳ erased
    #  c1  900.00 ─┘
    sequencer = Sequencer(KafkaSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=2))
    await asyncio.to_thread(sequencer.append, lambda known: known.merge("c1", "c0", datetime.now(UTC)))
    await asyncio.to_thread(sequencer.append, lambda known: known.erase("c4", datetime.now(UTC)))
    sequencer.close()
    code, _, err = await tierline("activate", "strict.yaml", *UNTIL, "--confirm", 10)
    assert (code, "8 of 38 customers (21.05 %) would move" in err) == (3, True), err
    assert (await tierline("activate", "strict.yaml", *UNTIL, "--confirm", 8))[0] == 0


async def test_what_was_written_can_be_told_as_json(tierline):
    _, out, _ = await tierline("activate", "strict.yaml", *UNTIL, "--confirm", 10, "--json")
    told = json.loads(out)
    assert (told["sequence"], told["policy"], told["customers"], told["move"]) == (2, "sandbox", 40, 10)
    assert told["tried_until"] == UNTIL_AT
    assert "text" not in told


async def test_how_many_may_move_unconfirmed_can_be_said(tierline):
    assert (await tierline("activate", "strict.yaml", *UNTIL, "--most", 24))[0] == 3
    assert (await tierline("activate", "strict.yaml", *UNTIL, "--most", 25))[0] == 0


async def test_each_is_tried_against_the_one_activated_last(tierline):
    assert (await tierline("activate", "strict.yaml", *UNTIL, "--confirm", 10))[0] == 0
    assert (await tierline("activate", "strict.yaml", *UNTIL))[0] == 0  # nobody moves any more
    assert (await tierline("activate", "first.yaml", *UNTIL))[0] == 3


async def test_a_history_can_be_a_file(tierline, tmp_path):
    posted = [bought("3-1", "1", "600", f"c{n}")["event"] for n in range(4)]
    (tmp_path / "events.ndjson").write_text("".join(json.dumps(one) + "\n" for one in posted))
    code, _, err = await tierline("activate", "strict.yaml", "--events", "events.ndjson")
    assert code == 3
    assert "4 of 4 customers" in err


async def test_nothing_is_effective_before_the_one_activated_last(tierline):
    at = datetime.now(UTC) + timedelta(days=30)
    later = ("--effective-at", words.instant(at))
    assert (await tierline("activate", "lenient.yaml", *UNTIL, *later, "--no-playbooks"))[0] == 0
    before = words.instant(at - timedelta(milliseconds=1))
    code, _, err = await tierline("activate", "first.yaml", *UNTIL, "--effective-at", before)
    assert (code, err.count("\n")) == (2, 1)
    assert f"number 2 takes effect at {words.instant(at)}" in err
    assert (await tierline("activate", "first.yaml", *UNTIL, *later))[0] == 0
    _, first, second = await control(tierline)
    assert first["playbooks"] is False
    assert [d["item"] for d in second["differences"]] == [["ladders", "tier", "good"]]


async def test_a_year_mistyped_does_not_rule_out_every_change_until_then(tierline, monkeypatch):
    far = ("--effective-at", words.instant(datetime.now(UTC) + timedelta(days=367)))
    code, out, err = await tierline("activate", "lenient.yaml", *UNTIL, *far)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--effective-at is more than a year ahead" in err
    assert await control(tierline) == []
    monkeypatch.setattr(activation, "_MOST_AHEAD", timedelta(days=368))
    assert (await tierline("activate", "lenient.yaml", *UNTIL, *far))[0] == 0
    monkeypatch.setattr(activation, "_MOST_AHEAD", timedelta(days=366))
    assert (await tierline("activate", "first.yaml", *UNTIL, *far))[0] == 0, "one that stands already can be put right"


async def test_what_no_service_carries_out_yet_is_not_put_in_force(tierline, tmp_path):
    (tmp_path / "whole.yaml").write_text(EXCERPT)
    code, out, err = await tierline("activate", "whole.yaml", *UNTIL, "--most", 100)
    assert (code, out) == (2, "")
    assert err == (
        "tierline: whole.yaml:49:60: checked, but not carried out yet: `to: owner`; name a queue or a person\n"
    )
    (tmp_path / "first.yaml").write_text(POLICY + "holdout: 10%\n")
    code, out, err = await tierline("activate", "lenient.yaml", *UNTIL)
    assert (code, out, err.count("\n")) == (2, "", 1), "the first start would begin with it"
    assert "first.yaml:25:1: checked, but not carried out yet: `holdout: 10%`; leave it out" in err
    assert await control(tierline) == []


async def test_rollback_goes_back_step_by_step(tierline):
    code, _, err = await tierline("rollback", *UNTIL)
    assert (code, "nothing was activated before" in err) == (2, True)
    for name in ("lenient", "strict"):
        assert (await tierline("activate", f"{name}.yaml", *UNTIL, "--most", 100, "--by", "li"))[0] == 0
    assert (await tierline("rollback", *UNTIL))[0] == 3
    for _ in range(2):
        assert (await tierline("rollback", *UNTIL, "--most", 100, "--by", "wang"))[0] == 0
    known = await control(tierline)
    assert [one["text"] for one in known] == [POLICY, LENIENT, STRICT, LENIENT, POLICY]
    assert [one.get("restores") for one in known] == [None, None, None, 2, 1]
    assert (await tierline("rollback", *UNTIL))[0] == 2
    code, out, _ = await tierline("history")
    said = [" ".join(text.split()) for text in out.splitlines()]
    assert "~ ladder tier 'good', when: spend_30d >= 500 -> spend_30d >= 400" in said
    assert any(text.startswith("4 sandbox (") and text.endswith(", number 2 again") for text in said)
    assert sum("by wang" in text for text in said) == 2


def test_what_a_rollback_goes_back_to():
    def made(restores: tuple[int | None, ...], digests: str) -> list[Activation]:
        at = to_datetime(0)
        return [
            Activation(record="activation", sequence=n, policy="p", digest=digests[(number or n) - 1], text="",
                       effective_at=at, activated_at=at, activated_by="", restores=number)
            for n, number in enumerate(restores, start=1)
        ]  # fmt: skip

    def goes_to(*restores: int | None, digests: str = "abcd") -> int | None:
        found = previous(made(restores, digests))
        return found and (found.restores or found.sequence)

    assert goes_to() is None
    assert goes_to(None) is None
    assert goes_to(None, None) == 1
    assert goes_to(None, None, None, 2) == 1
    assert goes_to(None, None, 1) is None
    assert goes_to(None, None, 1, None) == 1  # a new one after a rollback: back to what it was rolled back to
    assert goes_to(None, None, None, digests="abb") == 1  # activated twice in a row: not to its twin
    assert goes_to(None, None, None, 3, digests="abbb") == 1
    assert goes_to(None, None, digests="aa") is None
    assert goes_to(None, None, None, digests="aba") == 2  # not the newest of all, which decides alike


async def test_a_policy_that_decides_as_the_one_before_it_is_written_and_said_to(tierline):
    said = []
    for _ in range(2):
        code, out, _ = await tierline("activate", "strict.yaml", *UNTIL, "--most", 100)
        said.append((code, "it decides as number 2, the one before it, does\n" in out))
    assert said == [(0, False), (0, True)]
    assert (await tierline("rollback", *UNTIL, "--most", 100))[0] == 0
    assert [one["text"] for one in await control(tierline)] == [POLICY, STRICT, STRICT, POLICY]


async def test_of_two_who_write_at_once_one_fails_and_the_sequence_has_no_gap(tierline, kafka, topic_prefix):
    settings = KafkaSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=2)
    at = NOW

    def record(number: int, by: str) -> Activation:
        return Activation(record="activation", sequence=number, policy="p", digest="d", text="", effective_at=at,
                          activated_at=at, activated_by=by)  # fmt: skip

    def slow(known):
        (faster,) = Control(settings).append(lambda seen: [record(len(seen) + 1, "faster")])
        assert faster.sequence == 1
        return [record(len(known) + 1, "slower")]

    with pytest.raises(Overtaken):
        await asyncio.to_thread(Control(settings).append, slow)
    assert [one["activated_by"] for one in await control(tierline)] == ["faster"]


async def test_what_was_written_can_be_read_from_then_on(tierline, kafka, topic_prefix):
    """The broker may tell of a commit before the record can be read: the two reads after it find nothing yet."""

    class Behind(Control):
        found = 0, 0, 0, 1

        def read(self) -> list[Activation]:
            first, *self.found = self.found
            return super().read()[:first]

    def first(known):
        return [Activation(record="activation", sequence=len(known) + 1, policy="p", digest="d", text="",
                           effective_at=NOW, activated_at=NOW, activated_by="li")]  # fmt: skip

    behind = Behind(KafkaSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=2))
    await asyncio.to_thread(behind.append, first)
    assert not behind.found, "it was read until it was there"


async def test_what_cannot_be_read_or_reached_is_one_line(tierline, tmp_path, monkeypatch):
    (tmp_path / "broken.yaml").write_text("policy: broken")
    (tmp_path / "empty.ndjson").touch()
    for args, wanted, reason in (
        (("activate", "none.yaml"), 2, "none.yaml cannot be read"),
        (("activate", "broken.yaml"), 2, "broken.yaml"),
        (("activate", "first.yaml", "--effective-at", "soon"), 2, "--effective-at: 'soon'"),
        (("activate", "first.yaml", "--events", "none.ndjson"), 2, "none.ndjson cannot be read"),
        (("activate", "first.yaml", "--events", "empty.ndjson"), 2, "empty.ndjson is empty"),
    ):
        code, out, err = await tierline(*args)
        assert (code, out, err.count("\n")) == (wanted, "", 1), err
        assert reason in err
    monkeypatch.setenv("TIERLINE_TOPIC_PREFIX", "nobody-made-these-")
    code, _, err = await tierline("history")
    assert (code, err.count("\n"), "run `tierline setup`" in err) == (1, 1, True)
    monkeypatch.setenv("KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    code, _, err = await tierline("history")
    assert (code, err.count("\n")) == (1, 1)


async def test_without_activations_the_history_says_so(tierline):
    assert await tierline("history") == (
        0,
        "nothing was activated yet: the first start of a scorer begins with TIERLINE_POLICY\n",
        "",
    )
