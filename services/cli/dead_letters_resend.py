"""`tierline dead-letters resend ID...`: events that were not taken are posted again, repaired or as they were."""

from typing import Any, get_args

import click
import msgspec

from schemas.decisions import DeadLetterReason
from schemas.intake import MAX_IDENTIFIER
from schemas.problems import ProblemDetails
from services.analyst import words
from services.cli import letters, repairs
from services.cli.letters import Letter, Letterbox
from services.cli.reposting import Ingest
from services.local.errors import CannotStart

UNCONFIRMED = 3
_MANY = 10


class _Parcel(msgspec.Struct):
    """A letter and what is sent for it; without an event nothing is, and `status` and `detail` say why."""

    letter: Letter
    event: repairs.Document | None
    status: str
    detail: str = ""

    def line(self) -> str:
        return f"{self.letter.place}  {self.status}" + (f": {self.detail}" if self.detail else "")

    def as_json(self) -> dict[str, Any]:
        told = {"letter": str(self.letter.place), "reason": self.letter.letter.reason}
        return told | {"status": self.status, "detail": self.detail, "event": self.event}


@click.command()
@click.argument("named", metavar="[LETTER]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that were not sent yet; with --reason.")
@click.option("--reason", type=click.Choice(get_args(DeadLetterReason)), help="With --all: those with this reason.")
@click.option("--new-id", is_flag=True, help="Send an id_conflict under an id of its own, so that both events count.")
@click.option("--again", is_flag=True, help="Also those that were sent before.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option("--yes", is_flag=True, help=f"Send more than {_MANY} without being asked again.")
@click.option("--ingest", metavar="URL", help="Its address; by TIERLINE_INGEST_HOST and _PORT if not given.")
@click.option("--by", help="Who does it; your user name if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a letter, one a line.")
def resend(
    named: tuple[str, ...],
    every: bool,
    reason: str | None,
    new_id: bool,
    again: bool,
    dry_run: bool,
    yes: bool,
    ingest: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Post the events of these letters to ingest again: the repaired event where there is one, else as it was.

    The event keeps its id, so that sending it twice does no harm. What would only come back is not sent: an id_conflict
    needs --new-id or a repair, a refund that was taken a new id, an order_conflict another data.order. A letter that
    was sent is marked so, and is not sent a second time without --again.

    Exit codes: 0 all were sent, 1 some were not, 2 misused, 3 so many need --yes.
    """
    if every == bool(named):
        raise click.UsageError("name letters, or say --all --reason REASON")
    if every != (reason is not None):
        raise click.UsageError("--all and --reason go together")
    who, box = letters.by(by), Letterbox()
    chosen = [box.one(id_) for id_ in dict.fromkeys(named)]
    if every:
        chosen = [one for one in box.all() if one.letter.reason == reason and (again or not one.handling.is_resent)]
    parcels = [_parcel(box, one, new_id=new_id, again=again) for one in chosen]
    sending = [parcel for parcel in parcels if parcel.event is not None]
    if not dry_run:
        if len(sending) > _MANY and not yes:
            raise CannotStart(
                f"{len(sending):,} events would be sent; --dry-run shows them; if that is meant, repeat with --yes",
                exit_code=UNCONFIRMED,
            )
        _send(box, sending, Ingest(ingest), who)
    for parcel in parcels:
        click.echo(msgspec.json.encode(parcel.as_json()).decode() if as_json else parcel.line())
    sent = sum(parcel.status in ("sent", "would be sent") for parcel in parcels)
    if not as_json:
        click.echo(f"{sent:,} of {words.counted(len(parcels), 'letter')} {'would be ' if dry_run else ''}sent")
    if sent < len(parcels):
        raise SystemExit(1)


def _parcel(box: Letterbox, one: Letter, *, new_id: bool, again: bool) -> _Parcel:
    done = one.handling
    if done.is_resent and done.resent_at is not None and not again:
        detail = f"{words.instant(done.resent_at)} by {done.resent_by}, as {done.resent_id}; --again sends it once more"
        return _Parcel(one, None, "was sent before", detail)
    raw = box.original(one.letter)
    if raw is None and done.event is None:
        return _Parcel(one, None, "not sent", "its bytes were cut, and topic events holds the whole no longer")
    document = letters.as_posted(raw) if done.event is None else msgspec.json.decode(done.event)
    if document is None:
        return _Parcel(one, None, "not sent", "it is no JSON object; repair it with --file")
    if new_id and one.letter.reason == "id_conflict" and document.get("id") == one.letter.id:
        document["id"] = _own_id(one)
    event = repairs.checked(document, letters.now())
    if isinstance(event, ProblemDetails):
        return _Parcel(one, None, "not sent", f"ingest would refuse it; repair it: {repairs.problem(event)}")
    if why := letters.comes_back(one.letter, raw, event):
        return _Parcel(one, None, "not sent", why)
    return _Parcel(one, document, "would be sent", repairs.shown(document))


def _own_id(one: Letter) -> str:
    """The same whenever it is asked for, so that a second sending is a duplicate of the first."""
    ending = f"-letter-{one.place.partition}-{one.place.offset}"
    return (one.letter.id or "")[: MAX_IDENTIFIER - len(ending)] + ending


def _send(box: Letterbox, parcels: list[_Parcel], ingest: Ingest, who: str) -> None:
    """Post them; what was taken is written down portion by portion, and each parcel says what became of it."""
    for portion, results in ingest.post([repairs.encoded(parcel.event or {}) for parcel in parcels]):
        done = []
        for i, result in zip(portion, results, strict=True):
            parcel = parcels[i]
            if not isinstance(result.problem, msgspec.UnsetType):
                parcel.status, parcel.detail = "not sent", f"ingest refused it: {repairs.problem(result.problem)}"
                continue
            partition = None if isinstance(result.partition, msgspec.UnsetType) else result.partition
            offset = None if isinstance(result.offset, msgspec.UnsetType) else result.offset
            where = f", at events-{partition}" + ("" if offset is None else f" offset {offset}")
            parcel.status, parcel.detail = "sent", f"as {result.id}{where}"
            done.append(
                msgspec.structs.replace(
                    parcel.letter.handling,
                    resent_at=letters.now(),
                    resent_by=who,
                    resent_id=result.id,
                    partition=partition,
                    offset=offset,
                )
            )
        box.note(*done)
