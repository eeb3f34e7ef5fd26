"""What every librdkafka client of the scorer has in common."""

import logging
from typing import Any

SILENT = logging.getLogger("librdkafka.scorer")
"""For the library's own lines: what matters of them comes as a KafkaException."""
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


def connection(bootstrap: str) -> dict[str, Any]:
    """Settings to reach the broker.

    Without a recovery strategy: librdkafka 2.16's default forgets a broker that was away for a moment yet keeps it as
    the coordinator, and a transaction under way then hangs for ever, past its time limit (librdkafka issue 5511;
    seen here after every restart of a single broker).
    """
    return {"bootstrap.servers": bootstrap, "metadata.recovery.strategy": "none"}
