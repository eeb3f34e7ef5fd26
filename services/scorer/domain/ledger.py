"""The ledger: a customer's entries in event-time order, ties by id hash, kept as packed rows.

A row is 18 bytes: id hash and profile number (8), time (6), amount (4). What does not fit stands in `extras` by the
entry's id, and so does every refund: without extras there is none. Most events only append a row and look at a few
others, so nothing is unpacked that is not looked at.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from struct import Struct
from typing import Final

from services.scorer.domain.entries import PURCHASE, REFUND, TOUCHES, Entry, letter, read_profile
from services.scorer.domain.moments import Effect
from services.scorer.domain.orders import NOTHING, Settlement, Take, settle

NEVER: Final = 2**62 - 1
"""An instant later than any other."""

FULL: Final = 1_000_000
"""Bytes. Nothing more is taken by a customer whose record would be longer: Kafka takes 1 MiB."""

ROW: Final = Struct("<QIhI")  # id << 8 | profile number, time's low 32 bits, its high 16 bits, amount
SIZE: Final = 18  # bytes; ROW.size as a number, which the compiler writes into the code
_pack: Final = ROW.pack
_time: Final = Struct("<6xq").unpack_from  # the time is the upper six bytes of the eight that end with it
_amount: Final = Struct("<14xI").unpack_from
_EXTRA: Final = 39  # bytes of an entry's extras: three numbers of up to 9, an id, the lengths
_TEXT: Final = 5  # bytes for the length of a text
_FEW: Final = 64
_WIDE: Final = 2**32 - 1  # the amount stands in the extras
_ELSEWHERE: Final = 255  # the profile stands in the extras
_REFUND: Final = letter(REFUND)
_PURCHASE: Final = letter(PURCHASE)
_TOUCH: Final = tuple(letter(kind) for kind in TOUCHES)

Extra = tuple[int, int, int, str]
"""(amount, order, named id, profile or "") of an entry that needs more than its row."""


class Ledger:
    """Rows and profiles may be shared between ledgers: what changes of them is replaced, never written into.

    last_ms: the time of the last entry; -NEVER without one
    entered: how many entries, from the first, have been taken into account by whoever plays this ledger
    refunds: whether there is any refund: without one, every order stands and every amount is whole
    """

    __slots__ = ("_entries", "_named", "_settlement", "entered", "extras", "last_ms", "profiles", "refunds", "rows")

    def __init__(self, rows: bytes, profiles: list[str], extras: dict[int, Extra]) -> None:
        self.rows, self.profiles, self.extras, self.entered = rows, profiles, extras, 0
        self.last_ms: int = _time(rows, len(rows) - SIZE)[0] >> 16 if rows else -NEVER
        self._entries: list[Entry] | None = None
        self._settlement: Settlement | None = None
        self._named: set[int] | None = None
        self.refunds: bool = self._any_refund() if extras else False

    @classmethod
    def empty(cls) -> "Ledger":
        return cls(b"", [], {})

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Ledger":
        ledger, rows = cls.empty(), []
        for entry in sorted(entries, key=attrgetter("time_ms", "id")):
            ledger.append(entry)
            rows.append(ledger.rows)
            ledger.rows = b""  # put together at the end: each longer one would be a copy
        ledger.rows = b"".join(rows)
        return ledger

    def again(self) -> "Ledger":
        """The same, none of it entered, to be played by itself."""
        return Ledger(self.rows, self.profiles, self.extras.copy())

    def __len__(self) -> int:
        return len(self.rows) // SIZE

    def append(self, entry: Entry) -> int:
        """Put the entry behind all others, where it belongs; its place."""
        profile, amount, known, rows = entry.profile, entry.amount, self.profiles, self.rows
        if self._settlement is not None and self.settles(entry):
            self._settlement = None
        number = known.index(profile) if profile in known else self._number(profile)
        if number == _ELSEWHERE or entry.order or not 0 <= amount < _WIDE or (self.refunds and profile[0] == _REFUND):
            elsewhere = profile if number == _ELSEWHERE else ""
            self.extras[entry.id] = amount, entry.order, entry.named_id, elsewhere
            if self._named is not None:
                self._named.update((entry.order, entry.named_id))
            amount = _WIDE
        self.last_ms = time_ms = entry.time_ms
        self.rows = rows + _pack(entry.id << 8 | number, time_ms & 0xFFFFFFFF, time_ms >> 32, amount)
        self._entries = None
        return len(rows) // SIZE

    def _number(self, profile: str) -> int:
        """Of a profile that no entry had so far."""
        number = len(self.profiles)
        self.refunds = self.refunds or profile[0] == _REFUND
        if number >= _ELSEWHERE:
            return _ELSEWHERE
        self.profiles = [*self.profiles, profile]
        return number

    def with_entries(self, more: Sequence[Entry]) -> "Ledger":
        """Another ledger that also has `more`, in their places."""
        return Ledger.of([*self.entries, *more])

    def holds(self, identity: int) -> bool:
        """Whether an entry has this id."""
        return len(self.rows) > 0 and self._place_of(identity) >= 0

    def _place_of(self, identity: int) -> int:
        """The index of the entry with this id; -1 if there is none."""
        wanted = identity.to_bytes(7, "little")
        at = self.rows.find(wanted)  # quicker than `in`, which first tries whether it is a number
        while at >= 0:
            if at % SIZE == 1:
                return at // SIZE
            at = self.rows.find(wanted, at + 1)
        return -1

    def settles(self, entry: Entry) -> bool:
        """Whether it is a refund, or an order that a refund here names or whose key is known here."""
        return entry.profile[0] == _REFUND or self.names(entry)

    def adds(self, entry: Entry) -> int:
        """How many bytes the entry adds to the record at most."""
        profile = entry.profile
        known = profile in self.profiles
        elsewhere = _EXTRA if entry.order or not known or not 0 <= entry.amount < _WIDE or profile[0] == _REFUND else 0
        return SIZE + elsewhere + (0 if known else len(profile.encode()) + _TEXT)

    def names(self, entry: Entry) -> bool:
        """Whether an order here has the key of this order, or a refund here names it."""
        if entry.profile[0] != _PURCHASE or not (entry.order or self.refunds):
            return False
        if self._named is None:
            self._named = {name for extra in self.extras.values() for name in extra[1:3]}
        return (entry.order or entry.id) in self._named

    # -- one entry

    def time(self, index: int) -> int:
        time_ms: int = _time(self.rows, index * SIZE)[0] >> 16
        return time_ms

    def profile(self, index: int) -> str:
        number = self.rows[index * SIZE]
        return self.profiles[number] if number != _ELSEWHERE else self.extras[self._id(index)][3]

    def amount(self, index: int) -> int:
        amount: int
        (amount,) = _amount(self.rows, index * SIZE)
        return amount if amount != _WIDE else self.extras[self._id(index)][0]

    def places_of(self, counts: Callable[[str], bool], head: int) -> list[int]:
        """The entered entries from `head` on whose profile counts, by index."""
        numbers = self.rows[head * SIZE : self.entered * SIZE : SIZE]
        wanted = {number for number in set(numbers) if number != _ELSEWHERE and counts(self.profiles[number])}
        if _ELSEWHERE in numbers:
            return [place for place in range(head, self.entered) if counts(self.profile(place))]
        return [head + i for i, number in enumerate(numbers) if number in wanted]

    def glance(self, counts: Callable[[str], bool], head: int) -> tuple[int, int, int] | None:
        """How many entered entries from `head` on have a profile that counts, the first and the last of them; None if
        the profiles do not all stand in the rows."""
        if len(self.profiles) == _ELSEWHERE:
            return None
        numbers = self.rows[head * SIZE : self.entered * SIZE : SIZE]
        entries, first, last = 0, len(numbers), -1
        for number, profile in enumerate(self.profiles):
            if counts(profile) and (found := numbers.count(number)):
                nearest, farthest = numbers.find(number), numbers.rfind(number)
                entries += found
                if nearest < first:
                    first = nearest
                if farthest > last:
                    last = farthest
        return entries, head + first, head + last

    def backwards(self, counts: Callable[[str], bool]) -> Iterator[int]:
        """The entered entries whose profile counts, by index, the newest first."""
        numbers = self.rows[: self.entered * SIZE : SIZE]
        known = [counts(profile) for profile in self.profiles]
        for index in range(self.entered - 1, -1, -1):
            number = numbers[index]
            if known[number] if number != _ELSEWHERE else counts(self.profile(index)):
                yield index

    def weight(self, index: int) -> int:
        """How many events the entry stands for."""
        amount: int
        (amount,) = _amount(self.rows, index * SIZE)
        return self.amount(index) or 1 if amount and self.profile(index)[0] in _TOUCH else 1

    def _id(self, index: int) -> int:
        return int(ROW.unpack_from(self.rows, index * SIZE)[0] >> 8)

    # -- all of them

    @property
    def entries(self) -> list[Entry]:
        if self._entries is None:
            self._entries = [self._unpacked(*row) for row in ROW.iter_unpack(self.rows)]
        return self._entries

    def _unpacked(self, head: int, low: int, high: int, amount: int) -> Entry:
        identity, number, time_ms = head >> 8, head & 0xFF, high << 32 | low
        if amount == _WIDE:
            amount, order, named_id, profile = self.extras[identity]
            return Entry(time_ms, identity, amount, profile or self.profiles[number], order, named_id)
        return Entry(time_ms, identity, amount, self.profiles[number])

    def began_ms(self, otherwise_ms: int) -> int:
        """The time of the first entry; without one, the instant given."""
        return self.time(0) if self.rows else otherwise_ms

    # -- orders and refunds

    @property
    def settlement(self) -> Settlement:
        if not self.refunds:
            return NOTHING
        if self._settlement is None:
            self._settlement = settle(self._refunded())
        return self._settlement

    def _refunded(self) -> list[Entry]:
        """The refunds and the orders they name, among others; all entries where these would be many."""
        keys = {order for _, order, named_id, _ in self.extras.values() if named_id}
        ids = {named_id for _, _, named_id, _ in self.extras.values()}
        ids |= {i for i, (_, order, named_id, _) in self.extras.items() if named_id or not order or order in keys}
        if len(ids) > _FEW:
            return self.entries
        places = sorted(place for identity in ids if identity and (place := self._place_of(identity)) >= 0)
        return [self._unpacked(*ROW.unpack_from(self.rows, place * SIZE)) for place in places]

    def _any_refund(self) -> bool:
        if any(profile[0] == _REFUND for profile in self.profiles):
            return True
        return len(self.profiles) == _ELSEWHERE and any(e.kind == REFUND for e in self.entries)

    def stands(self, index: int, at_ms: int) -> bool:
        """Whether the order still stands at the instant: not wholly refunded by what has been entered."""
        voided_ms = self.settlement.voided_ms
        if not voided_ms:
            return True
        void_ms = voided_ms.get(self._id(index), NEVER)
        return void_ms > at_ms or void_ms > self.entered_ms()

    def takes(self, index: int, until_ms: int) -> list[Take]:
        """The order's refunds that take effect before `until_ms`, as far as they have been entered."""
        of_order = self.settlement.of_order
        if not of_order:
            return []
        entered_ms = self.entered_ms()
        return [t for t in of_order.get(self._id(index), ()) if t.start_ms < until_ms and t.start_ms <= entered_ms]

    def entered_ms(self) -> int:
        """When the last entry took effect; a refund does so with some entry, its own or its order's."""
        return self.time(self.entered - 1) if self.entered else -NEVER

    def orders(self, at_ms: int) -> Iterator[int]:
        """The entered orders that stand at the instant, by index."""
        for index in range(self.entered):
            if self.profile(index)[0] == _PURCHASE and self.stands(index, at_ms):
                yield index

    def place(self, entry: Entry) -> int:
        """The index of an entry that is in the ledger."""
        return bisect_left(range(len(self)), (entry.time_ms, entry.id), key=lambda i: (self.time(i), self._id(i)))

    def effects(self) -> list[Effect]:
        """Everything that takes effect, in the order it does; a refund without effect still is an entry that enters."""
        effects = [Effect(e.time_ms, i, None) for i, e in enumerate(self.entries)]
        takes = self.settlement.takes
        if takes:
            effects += [Effect(t.start_ms, self.place(t.refund), t) for t in takes]
            effects.sort(key=lambda e: (e.at_ms, e.take is not None, e.place))
        return effects

    def currency(self, index: int) -> str:
        return read_profile(self.profile(index)).currency
