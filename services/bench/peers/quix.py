"""The peers' work in Quix Streams, exactly once: state in RocksDB with its changelog topic.

Arguments: BOOTSTRAP TOPIC OUTPUT EVENTS NAME FOLDER PARTITIONS. Prints "first" and "last" as the function
is given those events.
"""

import sys
from typing import Any

from quixstreams import Application, State

bootstrap, input_name, output_name, events, name, folder, _ = sys.argv[1:8]
seen = 0


def score(event: dict[str, Any], store: State) -> dict[str, str] | None:
    global seen  # noqa: PLW0603 - the library owns the loop
    seen += 1
    if seen == 1:
        print("first", flush=True)
    state = store.get("customer") or {"spend": 0.0, "days": {}, "tier": "none"}
    if event["type"] == "purchase":
        state["spend"] += event["amount"]
    else:
        day = str(event["occurred_at"] // 86_400_000)
        state["days"][day] = state["days"].get(day, 0) + 1
    tier = "high" if state["spend"] > 10_000 else "active" if sum(state["days"].values()) > 5 else "low"
    changed = tier != state["tier"]
    state["tier"] = tier
    store.set("customer", state)
    if seen == int(events):
        print("last", flush=True)
    return {"customer_id": event["customer_id"], "tier": tier} if changed else None


app = Application(
    broker_address=bootstrap,
    consumer_group=name,
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    state_dir=folder,
    use_changelog_topics=True,
    loglevel="ERROR",
)
source = app.topic(input_name, value_deserializer="json")
output = app.topic(output_name, value_serializer="json")
changes = app.dataframe(source).apply(score, stateful=True).filter(lambda change: change is not None)
changes.to_topic(output)
app.run()
