"""How a calibration is written: as the `calibration:` section of a policy."""

from decimal import Decimal
from typing import Any

import msgspec

from schemas import policy

_DIGITS = 6


def decimal_text(value: float) -> str:
    """A parameter in six digits, never with an exponent, which a policy does not read."""
    return format(Decimal(f"{value:.{_DIGITS - 1}e}"), "f")


def as_yaml(calibration: policy.Calibration, *comments: str) -> str:
    """The section, one line a part, under the comments."""
    lines = [*(f"# {comment}" for comment in comments), "calibration:"]
    for name, part in msgspec.structs.asdict(calibration).items():
        if part is not None:
            lines.append(f"  {name}: {_flow(part)}")
    return "\n".join(lines) + "\n"


def _flow(part: Any) -> str:
    match part:
        case msgspec.Struct():
            return (
                "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in msgspec.structs.asdict(part).items()) + "}"
            )
        case list():
            return f"[{', '.join(map(str, part))}]"
    return str(part)
