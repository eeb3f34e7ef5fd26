"""How many examples the long tests have played: each test adds its own to a file of the folder that EXAMPLES names.

`python -m tests.scorer.domain.counting FOLDER LEAST` prints the sums; exit 1 if there are fewer than LEAST.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

played: Counter[str] = Counter()


@contextmanager
def counted(name: str) -> Iterator[None]:
    """Around a test whose examples say `played[name] += 1` when they have come to their end."""
    before = played[name]
    try:
        yield
    finally:
        folder = os.environ.get("EXAMPLES")
        if folder:
            Path(folder, f"{uuid4()}.json").write_text(json.dumps({name: played[name] - before}))


def main(folder: str, least: str) -> int:
    total: Counter[str] = Counter()
    for path in Path(folder).glob("*.json"):
        total.update(json.loads(path.read_text()))
    for name, count in sorted(total.items()):
        print(f"{count:>9,} {name}")
    print(f"{total.total():>9,} examples in all")
    return int(total.total() < int(least))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
