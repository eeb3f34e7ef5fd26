"""What `tierline policy activate` and `rollback` have in common: try the policy, ask if many move, write it down."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from getpass import getuser
from typing import Any, NamedTuple, TypeVar

import click
import msgspec

from schemas import instants
from schemas.control import Activation
from schemas.problems import Refused
from services.analyst import words
from services.analyst.backtest.evaluate import Document
from services.analyst.backtest.summary import share
from services.analyst.backtest.tally import Tally
from services.cli import histories, kept
from services.cli.policy import text_of
from services.local.errors import MISUSED, CannotStart
from services.scorer.domain.eras import Policies, kept_for
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.packing import StateError
from services.scorer.domain.pending import refuse_pending
from services.scorer.domain.policy import PolicyError
from services.scorer.sequence import Book, first
from services.shared.control import LEAD_MS, Control, Overtaken
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaUnavailable, TopicMismatch, TopicMissing
from services.shared.settings import KafkaSettings, ScorerSettings

UNCONFIRMED = 3
Result = TypeVar("Result")
_MOST_BYTES = 900_000  # of a policy's text; a record of the topic holds a little more
_MOST_AHEAD = timedelta(days=366)


class Wish(NamedTuple):
    """What is to be activated, and how.

    effective_ms: None for LEAD_MS after it is written
    until_ms:     the dry run plays to it, by default to now
    as_json:      how what was done is told
    most_percent: how many customers may move without being confirmed
    """

    effective_ms: int | None
    by: str
    playbooks: bool
    confirmed: int | None
    most_percent: float
    source: histories.Source
    until_ms: int | None
    workers: int | None
    as_json: bool


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Those of `wish`, and the history's."""
    command = histories.options(command)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON."),
        click.option("--until", help="Play the dry run to this instant; to now if not given."),
        click.option("--playbooks/--no-playbooks", default=True, help="Whether moves by the switch trigger playbooks."),
        click.option("--by", help="Who does it; your user name if not given."),
        click.option("--most", type=click.FloatRange(0, 100), default=5.0, show_default=True, metavar="PERCENT",
                     help="Of customers; if more would move, --confirm is needed."),
        click.option("--confirm", type=click.IntRange(0), metavar="N", help="So many customers are to move."),
        click.option("--effective-at", help="The instant from which it is to hold; half a second ahead if not given."),
    ):  # fmt: skip
        command = option(command)
    return command


def wish(given: dict[str, Any]) -> Wish:
    """From the options' values."""
    source = histories.source(given["events"], given["cdnow"], given["topic"]) or histories.source(None, None, True)
    assert source is not None
    from_topic = given["events"] is None and given["cdnow"] is None
    until_ms = _instant("--until", given["until"])
    return Wish(
        effective_ms=_instant("--effective-at", given["effective_at"]),
        by=given["by"] or user(),
        playbooks=given["playbooks"],
        confirmed=given["confirm"],
        most_percent=given["most"],
        source=source,
        until_ms=_now_ms() if until_ms is None and from_topic else until_ms,
        workers=given["workers"],
        as_json=given["as_json"],
    )


def control() -> Control:
    """CannotStart if it can't be reached, or isn't as it has to be."""
    return told(lambda: Control(KafkaSettings()))


def sequence(of: Control) -> list[Activation]:
    return told(of.read)


def activate(of: Control, known: Sequence[Activation], new: Document, asked: Wish, restores: int | None = None) -> None:
    """Try the policy against the one that is to decide now, and write it behind `known`, all that had been read.

    CannotStart: with exit code 3 if more customers move than may without being confirmed, 2 if it would take effect
    before the one activated last or more than a year ahead, 1 if somebody else was faster. PolicyError if no service
    carries all of it out.
    """
    policy = new.policy()
    refuse_pending(policy)
    if len(new.text.encode()) > _MOST_BYTES:
        raise CannotStart(f"{new.source} is longer than {_MOST_BYTES:,} bytes", exit_code=MISUSED)
    _check_order(known, asked.effective_ms if asked.effective_ms is not None else _now_ms() + LEAD_MS)
    old = current(known)
    if not known:
        refuse_pending(old.policy())
    _check_kept(of, known, old, new)
    tally, until_ms = histories.tried(new, old, asked.source, until_ms=asked.until_ms, workers=asked.workers)
    moved = f"{tally.movers:,} of {words.counted(tally.customers, 'customer')} ({share(tally.movers, tally.customers)})"
    _guard(tally, until_ms, asked, moved)

    def following(sequence: Sequence[Activation]) -> Sequence[Activation]:
        if len(sequence) != len(known):
            raise Overtaken(f"{sequence[-1].activated_by} has activated {sequence[-1].policy} meanwhile; try again")
        begins = [] if sequence else [first(old.text, old.source)]
        now_ms = _now_ms()
        effective_ms = now_ms + LEAD_MS if asked.effective_ms is None else asked.effective_ms
        _check_order(sequence, effective_ms)
        one = Activation(
            record="activation",
            sequence=len(sequence) + len(begins) + 1,
            policy=policy.name,
            digest=policy.digest,
            text=new.text,
            effective_at=to_datetime(effective_ms),
            activated_at=to_datetime(now_ms),
            activated_by=asked.by,
            playbooks=asked.playbooks,
            restores=restores,
        )
        return [*begins, one]

    written = told(lambda: of.append(following))[-1]
    until = words.instant(to_datetime(until_ms))
    if asked.as_json:
        said = {name: value for name, value in msgspec.to_builtins(written).items() if name not in ("record", "text")}
        tried = {"customers": tally.customers, "move": tally.movers, "tried_until": until}
        click.echo(msgspec.json.encode(said | tried).decode())
        return
    what = f"number {written.sequence}: {written.policy} ({written.digest})"
    click.echo(f"{what}, effective at {words.instant(written.effective_at)}")
    click.echo(f"{moved} move, by what had happened until {until}")
    if known and known[-1].digest == written.digest:
        click.echo(f"it decides as number {known[-1].sequence}, the one before it, does")


def current(known: Sequence[Activation]) -> Document:
    """The policy activated last; without any, the one that the first start would begin with."""
    if known:
        return Document(known[-1].text, f"control number {known[-1].sequence}")
    file = ScorerSettings().policy
    return Document(text_of(file), str(file))


def _check_order(known: Sequence[Activation], effective_ms: int) -> None:
    """Nothing takes effect before the last one any more: a year mistyped would rule out every change until then."""
    last_ms = to_ms(known[-1].effective_at) if known else effective_ms
    if effective_ms < last_ms:
        last = words.instant(known[-1].effective_at)
        message = (
            f"number {known[-1].sequence} takes effect at {last}; say --effective-at with that instant or a later one"
        )
        raise CannotStart(message, exit_code=MISUSED)
    latest = datetime.now(UTC) + _MOST_AHEAD
    if effective_ms > max(last_ms if known else 0, to_ms(latest)):
        message = (
            "--effective-at is more than a year ahead, and nothing else could take effect before it any more; "
            f"say {words.instant(latest)} or an earlier one"
        )
        raise CannotStart(message, exit_code=MISUSED)


def _check_kept(of: Control, known: Sequence[Activation], old: Document, new: Document) -> None:
    """Of an event only the fields are kept that a rule named when it came, or that a rebuild has found since."""
    policy = new.policy()
    named = told(lambda: Book(known)).policies.fields if known else Policies.only(old.policy()).fields
    missing = kept_for(policy) - named
    if not missing:
        return
    settings, number = KafkaSettings(), kept.found_by(told(of.records), missing)
    fields, rebuild = ", ".join(sorted(missing)), f"`tierline rebuild --for {new.source} --wait`"
    if number is None:
        why = f"which is not kept of the events so far: {rebuild} has them replayed"
    else:
        reached = told(lambda: kept.progress(settings, number))
        if reached.is_done:
            return
        why = f"which rebuild {number} has found in {reached.done} of {reached.partitions} partitions: {rebuild} waits"
    raise CannotStart(f"{policy.name} asks for {fields}, {why}", exit_code=MISUSED)


def _guard(tally: Tally, until_ms: int, asked: Wish, moved: str) -> None:
    if tally.movers * 100 <= asked.most_percent * tally.customers or asked.confirmed == tally.movers:
        return
    until = words.instant(to_datetime(until_ms))
    raise CannotStart(
        f"{moved} would move, more than {asked.most_percent:g} %; `tierline policy backtest` says who; "
        f"if that is meant, repeat with --until {until} --confirm {tally.movers}",
        exit_code=UNCONFIRMED,
    )


def told(call: Callable[[], Result]) -> Result:
    """CannotStart for what is wrong with Kafka, the topic, a policy or the state."""
    try:
        return call()
    except (KafkaUnavailable, TopicMissing, TopicMismatch) as error:
        raise CannotStart(str(error), exit_code=error.exit_code) from error
    except (Overtaken, ForeignRecord, PolicyError, StateError) as error:
        raise CannotStart(str(error)) from error


def _instant(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else to_ms(instants.instant(text))
    except Refused as refused:
        raise CannotStart(f"{option}: {refused.detail}; write it as 2026-03-01T00:00:00Z", exit_code=MISUSED) from None


def _now_ms() -> int:
    return to_ms(datetime.now(UTC))


def user() -> str:
    """Who does it, if that is not said."""
    try:
        return getuser()
    except (KeyError, OSError, ImportError):
        raise click.UsageError("your user has no name; say --by") from None
