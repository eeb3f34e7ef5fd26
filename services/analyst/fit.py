"""`tierline fit`: purchases in, a calibration out, with what speaks for it and against it."""

from collections.abc import Callable
from datetime import date
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas import money, policy
from services.analyst.calibration import bg_nbd, cuts, gamma_gamma, groups, histories, tracking
from services.analyst.calibration.histories import History
from services.analyst.calibration.likelihood import Estimate
from services.analyst.calibration.notation import decimal_text
from services.analyst.calibration.purchases import Book, canonical
from services.scorer.domain.churn import DAY_MS, BgNbd

UNIT_DAYS = {"day": 1, "week": 7}
_NO_LATER_DAYS = 90  # the horizon where the data end with the fit


class Wish(msgspec.Struct, frozen=True):
    """What is asked for.

    until:        the fit's last day, by default the data's.  customers: ids to keep, all by default
    unit:         of time in BG/NBD's parameters
    horizon_days: to say purchases ahead for; by default the days that the data go on after `until`
    groups, seed: of k-means
    """

    until: date | None = None
    customers: frozenset[str] | None = None
    unit: Literal["day", "week"] = "week"
    horizon_days: int | None = None
    groups: int = 4
    seed: int = 1


class Fit(msgspec.Struct, frozen=True):
    """What came out.

    first, until, last: the first purchase, the fit's last day, the data's last day
    absent:        ids asked for that have no purchase by `until`
    repeats:       transactions after a customer's first, by `until`
    bg_nbd, gamma_gamma: None where too few customers came back to ask; `flaws` says so
    correlation:   of the number of a customer's repeat transactions with their value, which Gamma-Gamma takes for 0
    frequencies, weeks, later: what BG/NBD expects and what was; empty without it
    flaws:         why a part must not be used, one line each; empty if all may
    calibration:   what may be used, as a policy writes it
    """

    currency: str
    digits: int
    unit: Literal["day", "week"]
    first: date
    until: date
    last: date
    horizon_days: int
    absent: int
    passed: int
    repeats: int
    customers: list[History]
    bg_nbd: Estimate | None
    gamma_gamma: Estimate | None
    correlation: float
    rfm: cuts.Cuts
    top_spend: cuts.TopSpend
    groups: groups.Groups
    flaws: list[str]
    calibration: policy.Calibration
    frequencies: list[tracking.Frequency] = []
    weeks: list[tracking.Week] = []
    later: list[tracking.Later] = []

    @property
    def spends(self) -> NDArray[np.float64]:
        """Each customer's, major units, the largest first: to be drawn."""
        return np.sort(np.array([customer.spend for customer in self.customers]) / 10**self.digits)[::-1]


def fit(book: Book, wish: Wish) -> Fit:
    """ValueError, one line, if there is nobody to learn from."""
    last = max(order.day for order in book.orders)
    until = wish.until.toordinal() if wish.until else last
    customers = histories.histories(book, until, wish.customers)
    if not customers:
        whose = "a customer asked for" if wish.customers is not None else "any customer"
        raise ValueError(f"no purchase of {whose} stands by {date.fromordinal(until)}")
    known = {canonical(customer.customer) for customer in customers}
    flaws: list[str] = []
    seen, spends = histories.repeats(customers, until), gamma_gamma.spends(customers, book.digits)
    buying = _estimated("bg_nbd", flaws, lambda: bg_nbd.estimate(seen, UNIT_DAYS[wish.unit]))
    spending = _estimated("gamma_gamma", flaws, lambda: gamma_gamma.estimate(spends))
    rfm, top = cuts.rfm(customers, until), cuts.top_spend(customers)
    if not top.minor:
        flaws.append("top_spend: nobody has spent anything")
    found = Fit(
        currency=book.currency,
        digits=book.digits,
        unit=wish.unit,
        first=date.fromordinal(min(customer.days[0] for customer in customers)),
        until=date.fromordinal(until),
        last=date.fromordinal(last),
        horizon_days=wish.horizon_days or (last - until if last > until else _NO_LATER_DAYS),
        absent=len(wish.customers - known) if wish.customers is not None else 0,
        passed=book.passed,
        repeats=sum(customer.repeats for customer in customers),
        customers=customers,
        bg_nbd=buying,
        gamma_gamma=spending,
        correlation=spends.correlation,
        rfm=rfm,
        top_spend=top,
        groups=groups.cluster(customers, until, wish.groups, wish.seed),
        flaws=flaws,
        calibration=policy.Calibration(
            bg_nbd=policy.BgNbd(**_written(buying), unit=wish.unit) if buying and not buying.flaws else None,
            gamma_gamma=policy.GammaGamma(**_written(spending)) if spending and not spending.flaws else None,
            rfm=policy.RfmCuts(
                recency=[f"{days}d" for days in rfm.recency],
                frequency=[str(orders) for orders in rfm.frequency],
                monetary=[money.to_major(minor, book.digits) for minor in rfm.monetary],
            ),
            top_spend=money.to_major(top.minor, book.digits) if top.minor else None,
        ),
    )
    return _held_against_the_data(found, book)


def _estimated(name: str, flaws: list[str], estimate: Callable[[], Estimate]) -> Estimate | None:
    """What is found, None if there is too little to ask; whatever speaks against it joins `flaws`."""
    try:
        found = estimate()
    except ValueError as error:
        flaws.append(f"{name}: {error}")
        return None
    flaws.extend(f"{name}: {flaw}" for flaw in found.flaws)
    return found


def _written(found: Estimate) -> dict[str, str]:
    return {name: decimal_text(value) for name, value in found.parameters.items()}


def _held_against_the_data(found: Fit, book: Book) -> Fit:
    """With what BG/NBD expects beside what was, if it may be used."""
    if found.bg_nbd is None or found.bg_nbd.flaws:
        return found
    model = BgNbd(**found.bg_nbd.parameters, unit_ms=UNIT_DAYS[found.unit] * DAY_MS)
    until, last = found.until.toordinal(), found.last.toordinal()
    asked = {canonical(customer.customer) for customer in found.customers}
    in_the_end = {c.customer: c.days for c in histories.histories(book, last, frozenset(asked))}
    later = [[day for day in in_the_end.get(c.customer, ()) if day > until] for c in found.customers]
    return msgspec.structs.replace(
        found,
        frequencies=tracking.by_frequency(model, found.customers, until),
        weeks=tracking.by_week(
            model,
            [c.days[0] for c in found.customers],
            [day for c, more in zip(found.customers, later, strict=True) for day in (*c.days[1:], *more)],
            last,
        ),
        later=tracking.after(
            model,
            found.customers,
            until,
            found.horizon_days,
            [sum(day <= until + found.horizon_days for day in more) for more in later]
            if until + found.horizon_days <= last
            else None,
        ),
    )
