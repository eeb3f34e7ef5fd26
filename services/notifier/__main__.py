"""`python -m services.notifier`"""

import gc
import sys

import structlog
from pydantic import ValidationError

from services.notifier.app import build
from services.scorer.domain.policy import Policy, PolicyError, parse
from services.shared import logging
from services.shared.serving import MISUSED, CannotServe, serve
from services.shared.settings import NotifierSettings

log = structlog.get_logger(__name__)

DRAIN_S = 15.0


def main() -> int:
    """Serve until a signal; the exit code: 0, 1 it failed, 2 what was asked for cannot be done."""
    try:
        settings = NotifierSettings()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}={e['input']!r}: {e['msg']}" for e in error.errors())
        print(f"notifier: {wrong}", file=sys.stderr)
        return MISUSED
    logging.configure("notifier", log_format=settings.log_format, level=settings.log_level)
    try:
        app = build(settings, _policy(settings))
    except CannotServe as error:
        log.error(str(error))
        return error.exit_code
    _spare_the_collector()
    code = serve(app, settings.host, settings.port, drain_s=DRAIN_S)
    failure: CannotServe | None = app.state.failure
    return failure.exit_code if failure else code


def _policy(settings: NotifierSettings) -> Policy:
    """CannotServe, one line, if there is none to be used."""
    try:
        return parse(settings.policy.read_text("utf-8"), str(settings.policy))
    except PolicyError as error:
        raise CannotServe(str(error), exit_code=MISUSED) from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CannotServe(f"{settings.policy}: the policy cannot be read: {why}", exit_code=MISUSED) from error


def _spare_the_collector() -> None:
    """A batch is thousands of short-lived objects without cycles. With the usual thresholds the garbage collector
    walks all that was ever imported for each of them, 40 % of the time of a replay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


if __name__ == "__main__":
    sys.exit(main())
