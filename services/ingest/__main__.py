"""`python -m services.ingest`"""

import sys

from services.ingest.app import build
from services.shared import logging
from services.shared.serving import serve
from services.shared.settings import IngestSettings


def main() -> int:
    """Serve until a signal; the exit code."""
    settings = IngestSettings()
    logging.configure("ingest", log_format=settings.log_format, level=settings.log_level)
    return serve(build(settings), settings.host, settings.port, drain_s=settings.ack_timeout_ms / 1000 + 5)


if __name__ == "__main__":
    sys.exit(main())
