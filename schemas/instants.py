"""An instant in the contracts: RFC 3339 with an offset. A time without one is refused, since nobody can place it."""

from datetime import datetime
from typing import Annotated

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
