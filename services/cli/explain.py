"""`tierline explain CUSTOMER`: why a customer stands where they stand, and what would change it."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import httpx
import msgspec

from schemas.answers import CustomerView
from schemas.explanations import Explanation
from schemas.instants import asked
from schemas.problems import ProblemDetails, Refused
from schemas.unreadable import UNREADABLE
from services.analyst import narrative, portrait, script, words
from services.analyst.simulate import DeadLetter, World
from services.local.errors import FAILED, MISUSED, CannotStart
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.policies import read
from services.shared.settings import NotifierSettings

_FILE = click.Path(path_type=Path)
_PATIENCE_S = 30.0


class _Known(msgspec.Struct):
    """What is to be told, to programs and to people.  document: its instants are no texts yet"""

    document: dict[str, Any]
    explanation: Explanation


@click.command()
@click.argument("customer")
@click.option("--at", help="The instant to look at, as 2026-03-01T00:00:00Z; now if not given.")
@click.option("--notifier", metavar="URL", help="Its address; by TIERLINE_NOTIFIER_HOST and _PORT if not given.")
@click.option("--policy", type=_FILE, help="With --script: the policy that holds from the beginning.")
@click.option("--script", "file", type=_FILE, help="Ask a script (see `tierline simulate`), not the running service.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def explain(
    customer: str, at: str | None, notifier: str | None, policy: Path | None, file: Path | None, as_json: bool
) -> None:
    """Say where CUSTOMER stands and since when, why, what is missing for better tiers, and what comes next.

    Asks the running notifier; with --script and --policy nothing needs to run, and now is the script's last instant.
    What is said of an earlier instant is what is known of it now, late events included; what comes next is what was
    to come without any event after it. Where older events are kept by the hour only, it is as of the first instant
    after them. What a script has that was not taken is told on standard error, a line each.

    Exit codes: 0 done, 1 nothing is known of the customer, or the service does not answer; 2 misused.
    """
    if (file is None) != (policy is None):
        raise click.UsageError("--script and --policy go together")
    if file is not None and notifier is not None:
        raise click.UsageError("ask --notifier or a --script, not both")
    at_ms = None if at is None else _instant(at)
    if file is not None and policy is not None:
        known = _by_script(customer, policy, file, at_ms)
    else:
        known = _by_service(customer, at, notifier)
    if as_json:
        click.echo(json.dumps(known.document, default=words.instant, ensure_ascii=False, indent=2))
        return
    answered, subject = known.explanation.at, str(known.document["subject"])
    if subject != customer:
        click.echo(f"{customer} is {subject} since the merge")
    if at_ms is not None and to_ms(answered) != at_ms:
        wished = words.instant(to_datetime(at_ms))
        click.echo(f"older events are kept by the hour: this is as of {words.instant(answered)}, not of {wished}")
    for line in portrait.lines(subject, known.explanation):
        click.echo(line)


def _instant(text: str) -> int:
    try:
        return to_ms(asked(text))
    except Refused as refused:
        raise CannotStart(f"--at: {refused.detail}; write it as 2026-03-01T00:00:00Z", exit_code=MISUSED) from None


def _by_script(customer: str, policy: Path, file: Path, at_ms: int | None) -> _Known:
    world = World(read(policy))
    try:
        steps = script.read(file)
    except script.ScriptError as error:
        raise CannotStart(str(error), exit_code=MISUSED) from error
    for happening in world.run(steps):
        if isinstance(happening, DeadLetter):
            click.echo(f"tierline: {narrative.refused(happening)}", err=True)
    for remark in world.remarks:
        click.echo(f"tierline: {remark}", err=True)
    if at_ms is None:
        at_ms = steps[-1].at_ms if steps else 0
    found = world.explain(customer, at_ms)
    if found is None:
        raise CannotStart(f"nothing is known of customer {customer!r} in {file} by then", exit_code=FAILED)
    return _Known({"subject": world.survivor(customer)} | _plain(found), found)


def _by_service(customer: str, at: str | None, address: str | None) -> _Known:
    if address is None:
        settings = NotifierSettings()
        address = f"http://{settings.host}:{settings.port}"
    encoded = quote(customer, safe="")
    if not encoded.strip("."):
        encoded = encoded.replace(".", "%2E")  # as they stand, . and .. are steps in a path
    path = f"/v1/customers/{encoded}"
    try:
        with httpx.Client(base_url=address, timeout=_PATIENCE_S, trust_env=False) as client:
            answer = client.get(path, params={} if at is None else {"at": at})
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise CannotStart(f"the notifier at {address} does not answer: {str(error) or type(error).__name__}") from error
    try:
        if answer.is_success:
            view = msgspec.json.decode(answer.content, type=CustomerView)
            return _Known(_plain(view), msgspec.json.decode(answer.content, type=Explanation))
        problem = msgspec.json.decode(answer.content, type=ProblemDetails)
    except UNREADABLE as error:
        raise CannotStart(f"{address} answers {answer.status_code}, not as a notifier does: {error}") from error
    misused = answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    raise CannotStart(f"{problem.detail}. {problem.fix or ''}", exit_code=MISUSED if misused else FAILED)


def _plain(answer: Explanation | CustomerView) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(answer, builtin_types=(datetime,))
    return plain
