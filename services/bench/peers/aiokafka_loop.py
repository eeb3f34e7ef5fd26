"""The peers' work in a bare loop over aiokafka with transactions, state in a dict: what that client can give at most.

Arguments: BOOTSTRAP TOPIC OUTPUT EVENTS NAME FOLDER PARTITIONS. Prints "first" with the first fetch, "last" after the
last commit. State goes to topic OUTPUT-state.
"""

import asyncio
import sys
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

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


async def main() -> None:
    places = [TopicPartition(input_name, number) for number in range(int(partitions))]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, max_partition_fetch_bytes=4 << 20, fetch_max_bytes=16 << 20
    )
    await consumer.start()
    consumer.assign(places)
    await consumer.seek_to_beginning()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name, linger_ms=0, max_batch_size=1 << 20)
    await producer.start()
    states: dict[str, list[Any]] = {}
    seen = 0
    while seen < int(events):
        fetched = await consumer.getmany(timeout_ms=500, max_records=5000)
        if not fetched:
            continue
        if not seen:
            print("first", flush=True)
        touched: dict[str, int] = {}
        changes = []
        for place, messages in fetched.items():
            for message in messages:
                event = decode(message.value)
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
                touched[customer] = place.partition
            seen += len(messages)
        async with producer.transaction():
            for customer, tier in changes:
                await producer.send(output_name, encode([customer, tier]), key=customer.encode())
            await write(producer, {c: (p, encode(states[c])) for c, p in touched.items()})
            offsets = {place: messages[-1].offset + 1 for place, messages in fetched.items()}
            await producer.send_offsets_to_transaction(offsets, name)
    print("last", flush=True)
    await asyncio.Event().wait()


async def write(producer: AIOKafkaProducer, records: dict[str, tuple[int, bytes]]) -> None:
    """In whole batches a partition, a fifth of the cost of single sends."""
    sent: list[asyncio.Future[object]] = []
    batches: dict[int, Any] = {}
    for customer, (partition, value) in records.items():
        key = customer.encode()
        batch = batches.get(partition)
        if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
            if batch is not None:
                batch.close()
                sent.append(await producer.send_batch(batch, f"{output_name}-state", partition=partition))
            batch = batches[partition] = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    for partition, batch in batches.items():
        batch.close()
        sent.append(await producer.send_batch(batch, f"{output_name}-state", partition=partition))
    await asyncio.gather(*sent)


uvloop.run(main())
