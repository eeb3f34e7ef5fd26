"""`python -m services.notifier`"""

import sys

import structlog
from pydantic import ValidationError

from services.notifier.app import build
from services.scorer import policies
from services.scorer.domain.pending import refuse_pending
from services.scorer.domain.policy import PolicyError
from services.shared import logging
from services.shared.serving import MISUSED, CannotServe, serve
from services.shared.settings import NotifierSettings, unusable

log = structlog.get_logger(__name__)

DRAIN_S = 15.0


def main() -> int:
    """Serve until a signal; the exit code: 0, 1 it failed, 2 what was asked for cannot be done."""
    try:
        settings = NotifierSettings()
    except ValidationError as error:
        print(f"notifier: {unusable(error)}", file=sys.stderr)
        return MISUSED
    logging.configure("notifier", log_format=settings.log_format, level=settings.log_level)
    try:
        policy = policies.read(settings.policy)
        refuse_pending(policy)
    except PolicyError as error:
        log.error(str(error))
        return MISUSED
    app = build(settings, policy)
    code = serve(app, settings.host, settings.port, drain_s=DRAIN_S)
    failure: CannotServe | None = app.state.failure
    return failure.exit_code if failure else code


if __name__ == "__main__":
    sys.exit(main())
