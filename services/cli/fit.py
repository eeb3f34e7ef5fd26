"""`tierline fit FILE`: numbers of the whole population for a policy's `calibration:` section."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import msgspec
from rich.console import Console

from schemas import money
from schemas.problems import Refused
from services.analyst import fit as calibrate
from services.analyst.calibration import page, summary
from services.analyst.calibration.notation import as_yaml
from services.analyst.calibration.purchases import Unreadable, read, read_ids
from services.local.errors import FAILED, MISUSED, CannotStart
from services.scorer.domain.spans import UNITS_MS, parse_span

_DAY_MS = UNITS_MS["d"]


class _Zone(click.ParamType):
    name = "zone"

    def convert(self, value: str | ZoneInfo, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        try:
            return value if isinstance(value, ZoneInfo) else ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{value!r} is no zone; write it as Asia/Shanghai", param, ctx)


class _Currency(click.ParamType):
    name = "currency"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            money.digits(value)
        except Refused as error:
            self.fail(str(error), param, ctx)
        return value


class _Days(click.ParamType):
    name = "span"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            days, rest = divmod(parse_span(value).fixed_ms, _DAY_MS)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if rest or not days:
            self.fail(f"{value!r} is no whole number of days; write it as 90d", param, ctx)
        return days


_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day to learn from; the file's if not given.")
@click.option("--customers", type=_FILE, help="Learn from these customers only: a file with one id a line.")
@click.option("--zone", type=_Zone(), default="UTC", show_default=True, help="Of calendar days: the policy's.")
@click.option("--currency", type=_Currency(), help="Of the money; the first event's if not given, USD for rows.")
@click.option("--unit", type=click.Choice(["day", "week"]), default="week", show_default=True, help="Of BG/NBD's time.")
@click.option("--horizon", type=_Days(), help="To say purchases ahead for, as 90d; the rest of the file if not given.")
@click.option("--groups", type=click.IntRange(1, 12), default=4, show_default=True, help="How many groups by k-means.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Of k-means: same seed, same groups."
)
@click.option("--out", type=_FILE, help="Write the calibration here, as YAML to put into a policy.")
@click.option("--report", type=_FILE, help="Write a page with plots here, as HTML.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def fit(
    file: Path,
    until: datetime | None,
    customers: Path | None,
    zone: ZoneInfo,
    currency: str | None,
    unit: str,
    horizon: int | None,
    groups: int,
    seed: int,
    out: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Estimate from the purchases in FILE what a policy's calibration needs: the BG/NBD and Gamma-Gamma parameters, RFM
    cut points, and the spend of the customers who bring 80 % of revenue.

    \b
    FILE holds events, one a line (NDJSON), as they are posted to /v1/events;
    or rows `customer date [items] amount`, by blanks or commas. Also packed, as .xz or .gz.

    Exit codes: 0 done, 1 a part must not be used (it is left out of the calibration, and said why), 2 misused.
    """
    wish = calibrate.Wish(
        until=until.date() if until else None,
        customers=_ids(customers) if customers else None,
        unit="day" if unit == "day" else "week",
        horizon_days=horizon,
        groups=groups,
        seed=seed,
    )
    try:
        found = calibrate.fit(read(file, zone, currency), wish)
    except (Unreadable, ValueError) as error:
        raise CannotStart(str(error), exit_code=MISUSED) from error
    section = as_yaml(
        found.calibration,
        f"by `tierline fit` from {len(found.customers):,} customers, {found.first} to {found.until}, {found.currency}",
        *(f"left out: {flaw}" for flaw in found.flaws),
    )
    if out is not None:
        _write(out, section)
    if report is not None:
        _write(report, page.render(found, section))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(summary.document(found))).decode())
    else:
        summary.show(found, Console(highlight=False, markup=False))
        click.echo(f"\n{section}" if out is None else f"the calibration is in {out}")
        if report is not None:
            click.echo(f"the report is in {report}")
    if found.flaws:
        raise SystemExit(FAILED)


def _ids(file: Path) -> frozenset[str]:
    try:
        return read_ids(file)
    except Unreadable as error:
        raise CannotStart(f"--customers: {error}", exit_code=MISUSED) from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise CannotStart(f"{file} cannot be written: {error.strerror}", exit_code=MISUSED) from error
