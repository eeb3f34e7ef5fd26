"""`python -m services.ingest`"""

import sys

from pydantic import ValidationError

from services.ingest.app import build
from services.shared import logging
from services.shared.serving import MISUSED, serve
from services.shared.settings import IngestSettings, unusable


def main() -> int:
    """Serve until a signal; the exit code: 0, 1 it failed, 2 what was asked for cannot be done."""
    try:
        settings = IngestSettings()
    except ValidationError as error:
        print(f"ingest: {unusable(error)}", file=sys.stderr)
        return MISUSED
    logging.configure("ingest", log_format=settings.log_format, level=settings.log_level)
    return serve(build(settings), settings.host, settings.port, drain_s=settings.ack_timeout_ms / 1000 + 5)


if __name__ == "__main__":
    sys.exit(main())
