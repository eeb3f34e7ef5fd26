"""The verification against a notifier made of a few lines."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec

from schemas.answers import CustomerList, CustomerRow, History
from services.demo.notifier import Notifier
from services.demo.recompute import Position
from services.demo.verify import disagreements

AT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def row(subject: str, tier: str = "gold", segments: tuple[str, ...] = ("active",), **more: Any) -> CustomerRow:
    fields = {"since": AT - HOUR, "classes": {}, "churn": False, "changed_at": AT - HOUR} | more
    return CustomerRow(subject=subject, tier=tier, segments=list(segments), **fields)


async def compare(
    rows: list[CustomerRow], expected: dict[str, Position], histories: tuple[History, ...] = (), grace_s: float = 0.0
) -> list[str]:
    """The disagreements; the list comes in pages of two."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/customers":
            start = int(request.url.params.get("cursor", "0"))
            page = CustomerList(
                customers=rows[start : start + 2], next=str(start + 2) if start + 2 < len(rows) else None
            )
            return httpx.Response(200, content=msgspec.json.encode(page))
        found = [h for h in histories if request.url.path == f"/v1/customers/{h.subject}/history"]
        return httpx.Response(200, content=msgspec.json.encode(found[0]))

    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier") as client:
        return await disagreements(Notifier(client), expected, AT, begins=BEGINS, grace_s=grace_s)


BEGINS = {"tier": "basic", "type": "other"}
GOLD = Position("gold", frozenset({"active"}), False)


async def test_customers_who_stand_where_expected_are_no_disagreement_over_all_pages():
    assert await compare([row(s) for s in "abcde"], dict.fromkeys("abcde", GOLD)) == []


async def test_each_customer_who_stands_elsewhere_is_named_with_both_positions():
    rows = [row("a", tier="basic"), row("b", segments=()), row("c", churn=True), row("d")]
    found = await compare(rows, dict.fromkeys("abcd", GOLD))
    assert found == [
        "a: tierline says basic, in active, no churn; the recomputation says gold, in active, no churn",
        "b: tierline says gold, in no segment, no churn; the recomputation says gold, in active, no churn",
        "c: tierline says gold, in active, churn raised; the recomputation says gold, in active, no churn",
    ]


async def test_a_customer_who_is_missing_is_a_disagreement_and_a_stranger_is_not():
    assert await compare([row("stranger")], {"a": GOLD}) == [
        "a: tierline says nothing; the recomputation says gold, in active, no churn"
    ]


def moved(subject: str) -> History:
    #        gold, active          at       basic, no longer active
    # ───────●─────────────────────┼────────▼──────────
    return History(
        subject=subject,
        decisions=[],
        next=None,
        paths={
            "tier": [(AT - 2 * HOUR, "gold"), (AT + HOUR, "basic")],
            "active": [(AT - 2 * HOUR, True), (AT + HOUR, False)],
            "at_risk": [(AT + HOUR, True)],
            "churn": [(AT + HOUR, True)],
        },
    )


async def test_who_has_moved_since_the_instant_is_looked_up_in_the_history():
    rows = [row("a", tier="basic", segments=("at_risk",), churn=True, changed_at=AT + HOUR)]
    assert await compare(rows, {"a": GOLD}, (moved("a"),)) == []
    basic = Position("basic", frozenset({"at_risk"}), True)
    assert len(await compare(rows, {"a": basic}, (moved("a"),))) == 1


async def test_before_the_first_step_everyone_is_in_the_last_tier():
    history = History(subject="a", decisions=[], next=None, paths={"tier": [(AT + HOUR, "gold")]})
    assert (
        await compare([row("a", changed_at=AT + HOUR)], {"a": Position("basic", frozenset(), False)}, (history,)) == []
    )


async def test_a_class_is_compared_too_and_named():
    grown = Position("gold", frozenset({"active"}), False, {"type": "growth"})
    assert await compare([row("a", classes={"type": "growth"})], {"a": grown}) == []
    assert await compare([row("a", classes={"type": "other"})], {"a": grown}) == [
        "a: tierline says gold, type other, in active, no churn; "
        "the recomputation says gold, type growth, in active, no churn"
    ]


async def test_the_class_of_who_has_moved_since_is_looked_up_in_the_history():
    #        type growth           at       type other again
    # ───────●─────────────────────┼────────▼──────────
    steps = [(AT - HOUR, "growth"), (AT + HOUR, "other")]
    paths: dict[str, Any] = {"tier": [(AT - HOUR, "gold")], "type": steps}
    history = History(subject="a", decisions=[], next=None, paths=paths)
    late = [row("a", segments=(), classes={"type": "other"}, changed_at=AT + HOUR)]
    assert await compare(late, {"a": Position("gold", frozenset(), False, {"type": "growth"})}, (history,)) == []
    history = History(subject="a", decisions=[], next=None, paths=paths | {"type": [(AT + HOUR, "growth")]})
    late = [row("a", segments=(), classes={"type": "growth"}, changed_at=AT + HOUR)]
    assert await compare(late, {"a": Position("gold", frozenset(), False, {"type": "other"})}, (history,)) == []


async def test_a_step_at_the_very_instant_counts():
    history = History(subject="a", decisions=[], next=None, paths={"tier": [(AT, "gold")], "active": [(AT, True)]})
    assert await compare([row("a", changed_at=AT + HOUR)], {"a": GOLD}, (history,)) == []


async def test_a_timer_that_is_still_under_way_is_waited_for():
    rows = [row("a", tier="basic")]

    class Late(list[CustomerRow]):
        """The right row from the second look on."""

        looks = 0

        def __getitem__(self, index: Any) -> Any:
            self.looks += 1
            return [row("a")] if self.looks > 1 else rows

    assert await compare(Late(rows), {"a": GOLD}, grace_s=5.0) == []
