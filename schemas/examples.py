"""One example of every record that crosses a border: they stand in the published documents and must fit them.

They tell one small story: a customer's second order lifts them to gold, and a year without another brings them back.
"""

from datetime import UTC, datetime

import msgspec

from schemas import control, decisions, events, identities, letters, problems

_ORDERED = datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)
_RECEIVED = datetime(2026, 3, 1, 12, 0, 1, 0, UTC)
_DECIDED = datetime(2026, 3, 1, 12, 0, 1, 40_000, UTC)
_LATER = datetime(2026, 3, 2, 8, 15, 0, 0, UTC)
_JOINED = datetime(2026, 1, 10, 9, 30, 0, 0, UTC)
_LEAVES = datetime(2027, 1, 10, 9, 30, 0, 0, UTC)

PURCHASE = events.Purchase(
    id="order-1042",
    source="shop",
    subject="c-20017",
    time=_ORDERED,
    receivedtime=_RECEIVED,
    data=events.PurchaseData(amount_minor=31_900, currency="USD", order="1042", channel="web"),
)
REFUND = events.Refund(
    id="refund-77",
    source="shop",
    subject="c-20017",
    time=_ORDERED,
    data=events.RefundData(amount_minor=4_900, currency="USD", order="1042"),
)
CLICK = events.Click(id="k-9", source="app", subject="c-20017", time=_ORDERED, data=events.ClickData(page="/offers"))
INTERACTION = events.Interaction(
    id="call-5",
    source="call-centre",
    subject="c-20017",
    time=_ORDERED,
    data=events.InteractionData(channel="call", direction="outbound"),
)
FORM = events.Form(id="f-3", source="site", subject="c-20017", time=_ORDERED, data=events.FormData(form="newsletter"))
FEEDBACK = events.Feedback(
    id="survey-8",
    source="survey",
    subject="c-20017",
    time=_ORDERED,
    data=events.FeedbackData(kind="rating", score_centi=450, channel="mail"),
)
STAGE = events.Stage(
    id="deal-3-offer",
    source="crm",
    subject="c-20017",
    time=_ORDERED,
    data=events.StageData(opportunity="deal-3", stage="offer"),
)
PROFILE = events.Profile(
    id="profile-12",
    source="crm",
    subject="c-20017",
    time=_ORDERED,
    data=events.ProfileData(attributes={"region": "Beijing", "industry": None}),
)
OVERRIDE = events.Override(
    id="contract-4",
    source="crm",
    subject="c-20017",
    time=_ORDERED,
    data=events.OverrideData(dimension="tier", value="gold", owner="li", reason="contract of 2026", until=_LEAVES),
)

_TRIGGER = decisions.Trigger(
    type="purchase", id=PURCHASE.id, source=PURCHASE.source, time=_ORDERED, received_at=_RECEIVED
)
_CONDITION = decisions.Condition(
    rule="tier.gold",
    text="spend_1y >= 500",
    operand="spend_1y",
    operator=">=",
    threshold="500.00",
    value="538.00",
    holds=True,
    entries=2,
    first=_JOINED,
    last=_ORDERED,
)
_NEXT = decisions.Next(at=_LEAVES, dimension="tier", after="basic")

DECISION = decisions.Decision(
    subject="c-20017",
    dimension="tier",
    kind="ladder",
    revision=1,
    sequence=318,
    from_=_ORDERED,
    path=[(_ORDERED, "gold")],
    before="basic",
    after="gold",
    effective_at=_ORDERED,
    decided_at=_DECIDED,
    cause="event",
    trigger=_TRIGGER,
    policy="retail",
    policy_digest="9f2c61d07b1e44aa",
    conditions=[_CONDITION],
    next=_NEXT,
)
CAUGHT_UP = decisions.CaughtUp(partition=4, sequence=319, at=_DECIDED)
ANNOUNCEMENT = decisions.Announcement(
    subject=DECISION.subject,
    dimension=DECISION.dimension,
    revision=DECISION.revision,
    before=DECISION.before,
    after=DECISION.after,
    effective_at=DECISION.effective_at,
    decided_at=DECISION.decided_at,
    cause=DECISION.cause,
    trigger=DECISION.trigger,
    policy=DECISION.policy,
    conditions=DECISION.conditions,
    next=DECISION.next,
)
DEAD_LETTER = decisions.DeadLetter(
    reason="id_conflict",
    detail="order-1042 of shop came before with another amount: 319.00 USD, now 391.00 USD",
    subject="c-20017",
    id=PURCHASE.id,
    topic="events",
    partition=4,
    offset=88_213,
    at=_DECIDED,
    event=msgspec.json.encode(PURCHASE),
)
HANDLING = letters.Handling(
    letter="4:12",
    event='{"specversion": "1.0", "id": "order-1042-b", "source": "shop", "type": "purchase", ...}',
    repaired_at=_DECIDED,
    repaired_by="li",
    resent_at=_LATER,
    resent_by="li",
    resent_id="order-1042-b",
    partition=4,
    offset=91_557,
)
ACTIVATION = control.Activation(
    record="activation",
    sequence=2,
    policy="retail",
    digest=DECISION.policy_digest,
    text="policy: retail\ncurrency: USD\n...",
    effective_at=_ORDERED,
    activated_at=_DECIDED,
    activated_by="li",
)
REBUILD = control.Rebuild(
    record="rebuild", sequence=1, fields=["channel"], asked_at=_DECIDED, asked_by="li", policy="retail"
)
MERGE = identities.Merge(sequence=1, at=_DECIDED, from_="c-20017-old", into="c-20017")
UNMERGE = identities.Unmerge(sequence=2, at=_DECIDED, from_="c-20017-old", into="c-20017")
ERASURE = identities.Erasure(sequence=3, at=_DECIDED, subject="c-20017", asked="c-20017-old")
PROBLEM = problems.details(problems.NEGATIVE_AMOUNT, "the amount is -3.00", field="data.amount", instance="/v1/events")

CATALOGUE: tuple[msgspec.Struct, ...] = (
    PURCHASE,
    REFUND,
    CLICK,
    INTERACTION,
    FORM,
    FEEDBACK,
    STAGE,
    PROFILE,
    OVERRIDE,
    DECISION,
    CAUGHT_UP,
    ANNOUNCEMENT,
    DEAD_LETTER,
    HANDLING,
    ACTIVATION,
    REBUILD,
    MERGE,
    UNMERGE,
    ERASURE,
    PROBLEM,
)


def of(record: type) -> list[object]:
    """The examples of one type, as JSON would show them."""
    return [msgspec.json.decode(msgspec.json.encode(example)) for example in CATALOGUE if type(example) is record]
