"""The peers' work in Faust as its manual shows it: one agent, one Table in memory with its changelog, at least once.

Arguments: BOOTSTRAP TOPIC OUTPUT EVENTS NAME FOLDER PARTITIONS. Prints "first" and "last" as the agent is given them.
"""

import sys
from typing import Any

import faust

bootstrap, input_name, output_name, events, name, folder, partitions = sys.argv[1:8]

app = faust.App(
    name,
    broker=f"kafka://{bootstrap}",
    store="memory://",
    datadir=folder,
    topic_partitions=int(partitions),
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    stream_wait_empty=False,
)


class Event(faust.Record, serializer="json"):
    event_id: str
    type: str
    customer_id: str
    occurred_at: int
    channel: str
    amount: float = 0.0
    currency: str = ""


source = app.topic(input_name, value_type=Event)
output = app.topic(output_name)
customers = app.Table("customers", default=dict)


@app.agent(source)
async def score(stream: Any) -> None:
    seen = 0
    async for event in stream:
        seen += 1
        if seen == 1:
            print("first", file=sys.__stdout__, flush=True)  # Faust takes stdout for its log
        state = customers[event.customer_id] or {"spend": 0.0, "days": {}, "tier": "none"}
        if event.type == "purchase":
            state["spend"] += event.amount
        else:
            day = str(event.occurred_at // 86_400_000)
            state["days"][day] = state["days"].get(day, 0) + 1
        tier = "high" if state["spend"] > 10_000 else "active" if sum(state["days"].values()) > 5 else "low"
        if tier != state["tier"]:
            state["tier"] = tier
            await output.send(key=event.customer_id, value={"customer_id": event.customer_id, "tier": tier})
        customers[event.customer_id] = state
        if seen == int(events):
            print("last", file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
    app.main()
