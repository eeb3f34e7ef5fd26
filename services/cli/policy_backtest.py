"""`tierline policy backtest --policy NEW`: what a policy would have done with what has happened."""

import csv
import io
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from schemas import instants
from schemas.problems import Refused
from services.analyst import words
from services.analyst.backtest import page, summary
from services.analyst.backtest.evaluate import Document
from services.analyst.backtest.report import Report, report
from services.analyst.backtest.tally import Tally
from services.cli import histories
from services.cli.policy import text_of
from services.local.errors import MISUSED, CannotStart
from services.scorer.domain.instants import to_datetime, to_ms

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--policy", type=_FILE, required=True, help="The policy to try.")
@click.option("--against", type=_FILE, help="The policy to compare with.")
@histories.options
@click.option("--until", help="The instant to play to, as 2026-03-01T00:00:00Z; the newest record's if not given.")
@click.option("--out", type=_FILE, help="Write report.html, report.json, moves.csv and matrix.csv into this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def backtest(
    policy: Path,
    against: Path | None,
    events: Path | None,
    cdnow: Path | None,
    topic: bool,
    workers: int | None,
    until: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Play a history against a policy with the scorer's own core, on all cores, and say what comes of it.

    Who moves from where to where, how often playbooks would have been triggered, how often customers go to and fro
    (flap), and which share of the effort each class gets.

    Those who move are named by dimension, as the policy has them, then by customer: the first 20 here, the first 100 in
    report.html and in JSON, all in moves.csv. matrix.csv counts them from old to new. In moves.csv an id that begins
    with = + - or @ has a ' before it, as a spreadsheet would run it otherwise.

    \b
    The history is one of
      --events FILE  events as they are posted or as they stand on topic events, one a line; also packed, .xz or .gz
      --cdnow FILE   rows of purchases, as the demo's services/demo/cdnow.txt.xz
      --topic        everything on topic events, with the merges, unmerges and erasures on topic identities
    What is posted counts as having arrived when it happened. The same input gives the same report.

    Merges and unmerges happen when they were done, as in the scorer: an event filed under an old name counts for who
    answers for it, and who is one customer at the instant played to is one in the matrix and among those who move.
    What has been erased by now is not played, only counted (erased), and nobody is named for it. A file knows of
    neither.

    Exit codes: 0 done, 1 the history can't be played to its end, 2 misused, or a file without any event.
    """
    until_ms = None if until is None else _instant(until)
    new = Document(text_of(policy), str(policy))
    old = None if against is None else Document(text_of(against), str(against))
    new_policy, old_policy = new.policy(), None if old is None else old.policy()
    given = histories.source(events, cdnow, topic)
    if given is None:
        raise click.UsageError("name a history: --events, --cdnow or --topic")
    if out is not None:
        _folder(out)
    began_s = time.perf_counter()
    tally, until_ms = histories.tried(new, old, given, until_ms=until_ms, workers=workers)
    took_s = time.perf_counter() - began_s
    told = report(tally, until_ms, new_policy, old_policy)
    document = json.dumps(_plain(told), default=words.instant, ensure_ascii=False, indent=2) + "\n"
    if out is not None:
        _write(out / "report.json", document)
        _write(out / "report.html", page.render(told))
        _write(out / "moves.csv", _moves(tally))
        _write(out / "matrix.csv", _matrix(told))
    if as_json:
        click.echo(document, nl=False)
        return
    summary.show(told, Console(highlight=False, markup=False))
    sides = "" if old is None else ", under both policies"
    click.echo(f"\n{tally.events:,} events in {took_s:,.1f} s, {tally.events / max(took_s, 1e-9):,.0f}/s{sides}")
    if out is not None:
        click.echo(f"the report is in {out / 'report.html'}, who moves in {out / 'moves.csv'}")


def _instant(text: str) -> int:
    try:
        return to_ms(instants.instant(text))
    except Refused as refused:
        raise CannotStart(f"--until: {refused.detail}; write it as 2026-03-01T00:00:00Z", exit_code=MISUSED) from None


def _plain(told: Report) -> dict[str, Any]:
    """Its instants are no texts yet."""
    plain: dict[str, Any] = msgspec.to_builtins(told, builtin_types=(datetime,))
    return plain


def _moves(tally: Tally) -> str:
    """since: empty where everyone begins."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("customer", "dimension", "from", "to", "since"))
    for move in tally.moves:
        since = "" if move.since_ms is None else words.instant(to_datetime(move.since_ms))
        positions = (words.position(value) for value in (move.before, move.after))
        rows.writerow((_harmless(move.subject), move.dimension, *positions, since))
    return text.getvalue()


def _harmless(subject: str) -> str:
    """An id is anybody's text: of one that a spreadsheet would take for a formula it shows the text."""
    return f"'{subject}" if subject.startswith(("=", "+", "-", "@", "\t", "\r")) else subject


def _matrix(told: Report) -> str:
    """Every cell that is not empty, in the order of the report."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("dimension", "from", "to", "customers"))
    for view in told.dimensions:
        for cell in view.matrix:
            rows.writerow((view.name, words.position(cell.before), words.position(cell.after), cell.customers))
    return text.getvalue()


def _folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"{out} cannot be made a folder: {error.strerror}", exit_code=MISUSED) from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise CannotStart(f"{file} cannot be written: {error.strerror}", exit_code=MISUSED) from error
