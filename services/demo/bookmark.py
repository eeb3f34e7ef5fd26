"""Where the replay is, kept in the data folder: what an interrupted one goes on from, and why none is done twice."""

from pathlib import Path

import msgspec

from services.local.errors import MISUSED, CannotStart

FILE = "demo.json"


class Bookmark(msgspec.Struct):
    """shift_days:   by how much dates are moved, fixed at the first start
    sample:       every how many-th customer is posted
    acknowledged: how many purchases, in posting order, Kafka has for sure
    reached:      per partition of `events` the highest offset among them
    done:         all of them have been posted
    """

    shift_days: int
    sample: int
    acknowledged: int = 0
    reached: dict[int, int] = {}
    done: bool = False

    def advance(self, purchases: int, places: list[tuple[int, int]]) -> None:
        """So many more purchases are kept, at these places (partition, offset)."""
        self.acknowledged += purchases
        for partition, offset in places:
            self.reached[partition] = max(offset, self.reached.get(partition, -1))

    def save(self, folder: Path) -> None:
        """Whole or not at all: a crash leaves the one before."""
        unfinished = folder / f"{FILE}.new"
        unfinished.write_bytes(msgspec.json.encode(self))
        unfinished.replace(folder / FILE)


def open_bookmark(folder: Path, *, shift_days: int, sample: int) -> Bookmark:
    """The folder's bookmark, or a new one with these values; the shift of the first start stays.

    CannotStart (exit code 2) if the folder holds a replay of another sample.
    """
    try:
        kept = msgspec.json.decode((folder / FILE).read_bytes(), type=Bookmark)
    except FileNotFoundError:
        return Bookmark(shift_days=shift_days, sample=sample)
    except msgspec.MsgspecError as error:
        raise CannotStart(
            f"{folder / FILE} cannot be read ({error}): start anew with --fresh", exit_code=MISUSED
        ) from error
    if kept.sample != sample:
        raise CannotStart(
            f"data folder {folder} holds a demo with --sample {kept.sample}: say the same, or start anew with --fresh",
            exit_code=MISUSED,
        )
    return kept
