"""The scorer: takes events, keeps every customer's position, says what changed and why.

`python -m services.scorer` runs a worker, and so does `faust -A services.scorer worker`, which asks this package for
its `app`: made only then, so that the pure core can be imported without Faust.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "app":
        from services.scorer.__main__ import for_faust  # noqa: PLC0415

        # Faust asks more than once, and by now the import has put the module of this name here.
        globals()[name] = for_faust()
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
