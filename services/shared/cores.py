"""Work parted among processes, one a core."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


class Died(Exception):
    """A process has died with its work; one line."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    work: Callable[[Part], Result],
    parts: Sequence[Part],
    prepare: Callable[..., None],
    given: tuple[Any, ...],
    workers: int,
) -> Iterator[tuple[int, Result]]:
    """What `work` makes of each part, with the part's number, whichever is done first.

    prepare: called with `given`, once in each process, before any part.  workers: with one it is done in this process
    """
    if workers == 1:
        prepare(*given)
        yield from ((number, work(part)) for number, part in enumerate(parts))
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), prepare, given) as pool:
        waiting = {pool.submit(work, part): number for number, part in enumerate(parts)}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BrokenProcessPool as error:
            raise Died("a process has died; is there enough memory?") from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
