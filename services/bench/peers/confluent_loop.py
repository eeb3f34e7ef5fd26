"""The peers' work in a bare loop over confluent-kafka with transactions, state in a dict: that client's limit.

Arguments: BOOTSTRAP TOPIC OUTPUT EVENTS NAME FOLDER PARTITIONS. Prints "first" with the first fetch, "last" after the
last commit. State goes to topic OUTPUT-state.
"""

import sys
import threading
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

bootstrap, input_name, output_name, events, name, _, partitions = sys.argv[1:8]


class Event(msgspec.Struct):
    event_id: str
    type: str
    customer_id: str
    occurred_at: int
    channel: str = ""
    amount: float = 0.0
    currency: str = ""


decode, encode = msgspec.json.Decoder(Event).decode, msgspec.msgpack.Encoder().encode
consumer = Consumer(
    {
        "bootstrap.servers": bootstrap,
        "group.id": name,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": 65_536,
        "fetch.min.bytes": 1,
    }
)
consumer.assign([TopicPartition(input_name, number, OFFSET_BEGINNING) for number in range(int(partitions))])
producer = Producer(
    {
        "bootstrap.servers": bootstrap,
        "transactional.id": name,
        "linger.ms": 5,
        "batch.size": 1 << 20,
        "queue.buffering.max.messages": 1_000_000,
    }
)
producer.init_transactions()
states: dict[str, list[Any]] = {}
seen = 0
while seen < int(events):
    messages: list[Any] = consumer.consume(5000, 0.5)
    if not messages:
        continue
    if not seen:
        print("first", flush=True)
    touched: dict[str, int] = {}
    offsets: dict[int, int] = {}
    changes = []
    for message in messages:
        event = decode(message.value())
        customer = event.customer_id
        state = states.get(customer)
        if state is None:
            state = states[customer] = [0.0, {}, "none"]
        if event.type == "purchase":
            state[0] += event.amount
        else:
            day = event.occurred_at // 86_400_000
            state[1][day] = state[1].get(day, 0) + 1
        tier = "high" if state[0] > 10_000 else "active" if sum(state[1].values()) > 5 else "low"
        if tier != state[2]:
            state[2] = tier
            changes.append((customer, tier))
        touched[customer] = message.partition()
        offsets[message.partition()] = message.offset() + 1
    seen += len(messages)
    producer.begin_transaction()
    for customer, tier in changes:
        producer.produce(output_name, encode([customer, tier]), customer)
    for customer, partition in touched.items():
        producer.produce(f"{output_name}-state", encode(states[customer]), customer, partition)
    producer.send_offsets_to_transaction(
        [TopicPartition(input_name, partition, offset) for partition, offset in offsets.items()],
        consumer.consumer_group_metadata(),
    )
    producer.commit_transaction()
print("last", flush=True)
threading.Event().wait()
