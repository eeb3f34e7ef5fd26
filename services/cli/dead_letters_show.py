"""`tierline dead-letters show ID`: all that is known of a dead letter."""

from collections.abc import Iterator

import click
import msgspec

from services.analyst import words
from services.cli import repairs
from services.cli.letters import Letter, Letterbox, as_posted


@click.command()
@click.argument("letter")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def show(letter: str, as_json: bool) -> None:
    """Say all that is known of LETTER: why, its bytes, where they stand on topic events, what was done about it.

    Exit codes: 0 done, 1 the topic cannot be read, 2 there is no such letter, or misused.
    """
    box = Letterbox()
    one = box.one(letter)
    raw = box.original(one.letter)
    if as_json:
        found = one.letter.event if raw is None else raw
        told = {"original": _text(found), "cut": raw is None, "as_posted": as_posted(raw)}
        click.echo(msgspec.json.format(msgspec.json.encode(one.as_json() | told)).decode())
        return
    for line in _lines(one, raw):
        click.echo(line)


def _lines(one: Letter, raw: bytes | None) -> Iterator[str]:
    letter, done = one.letter, one.handling
    yield f"letter   {one.place}, {one.state}"
    yield f"reason   {letter.reason}: {letter.detail}"
    yield f"subject  {letter.subject or '(not readable)'}"
    yield f"event    {letter.id or '(not readable)'}"
    yield f"written  {words.instant(letter.at)}"
    yield f"stands   at {letter.topic}-{letter.partition} offset {letter.offset}"
    yield ""
    if raw is None:
        yield f"its first {len(letter.event):,} bytes; the whole does not stand on {letter.topic} any more:"
        yield _text(letter.event)
    else:
        yield f"its {len(raw):,} bytes:"
        yield _text(raw)
    document = as_posted(raw)
    if done.event is not None:
        yield ""
        yield f"repaired {words.instant(done.repaired_at) if done.repaired_at else ''} by {done.repaired_by}:"
        yield from (f"   {line}" for line in repairs.differences(document, msgspec.json.decode(done.event)))
    if done.resent_at is not None:
        yield ""
        place = "" if done.offset is None else f", at events-{done.partition} offset {done.offset}"
        yield f"resent {words.instant(done.resent_at)} by {done.resent_by} as {done.resent_id}{place}"


def _text(raw: bytes) -> str:
    """Bytes as text; what is no UTF-8 as Python would write it."""
    return raw.decode("utf-8", "backslashreplace")
