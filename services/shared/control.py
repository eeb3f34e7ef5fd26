"""Topic `control`, the sequence of policies and the rebuilds asked for: read to its end, written by one at a time.

All writers have the same transactional id, so that whoever begins to write ends what another has begun: a record is
only ever written by somebody who has read all before it. Everything here blocks.
"""

from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Final, TypeVar

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from schemas.control import Activation, Rebuild, Record
from schemas.topics import CONTROL
from services.shared.connection import SILENT, for_librdkafka
from services.shared.kafka import KafkaUnavailable, verify_topics
from services.shared.settings import KafkaSettings

LEAD_MS: Final = 500
"""So much after it is written a policy takes effect, if nobody wishes otherwise: every worker knows of it by then.

Who has been played past the instant when it becomes known must be played again from there, which costs many times a
look ahead: with thousands of live events a second they are as many as thousands.
"""

KEY = b"policy"
_WITHIN_S = 30.0
_PAUSE_S = 0.05
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}

_encode = msgspec.json.Encoder().encode
Written = TypeVar("Written", bound=Record)


class _Head(msgspec.Struct):
    record: str = ""


def decode(value: bytes) -> Record:
    """A record of the topic. msgspec.DecodeError if it is none."""
    if msgspec.json.decode(value, type=_Head).record == "rebuild":
        return msgspec.json.decode(value, type=Rebuild)
    return msgspec.json.decode(value, type=Activation)


class Overtaken(Exception):
    """Somebody else was writing at the same time; nothing of ours was written. One line."""


class Unreadable(Exception):
    """Topic `control` holds something that does not belong there; one line."""


class Control:
    """KafkaUnavailable if the broker stays away, TopicMissing or TopicMismatch if the topic isn't as it has to be."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topic, self._writer = settings.topic(CONTROL.name), settings.topic("control-writer")
        self._bootstrap = settings.kafka_bootstrap
        self._connection = for_librdkafka(settings)
        verify_topics(settings, [CONTROL])

    def read(self) -> list[Activation]:
        """All activations, the first one first. Unreadable."""
        return [record for record in self.records() if isinstance(record, Activation)]

    def records(self) -> list[Record]:
        """All there is, activations and rebuilds, the first one first. Unreadable."""
        consumer = Consumer(
            self._connection
            | {
                "group.id": self._writer,  # asked for by the library; nothing is joined or committed
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            },
            logger=SILENT,
        )
        try:
            consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            return self._to_the_end(consumer)
        except KafkaException as error:
            raise self._away(error) from error
        finally:
            consumer.close()

    def append(self, following: Callable[[Sequence[Activation]], Sequence[Activation]]) -> Sequence[Activation]:
        """Write what follows the activations there are; what `following` raises is raised, and nothing is written.

        Overtaken if somebody else writes at the same time. Once it returns, whoever reads finds what was written: the
        coordinator says that a transaction is committed before the partition lets its records be read.
        """
        return self._write(lambda: following(self.read()), lambda last: len(self.read()) >= last.sequence)

    def ask(self, following: Callable[[Sequence[Record]], Sequence[Rebuild]]) -> Sequence[Rebuild]:
        """Write rebuilds behind all there is, as `append` does activations."""
        return self._write(lambda: following(self.records()), lambda last: last in self.records())

    def _write(self, make: Callable[[], Sequence[Written]], is_there: Callable[[Written], bool]) -> Sequence[Written]:
        producer = Producer(self._connection | {"transactional.id": self._writer}, logger=SILENT)
        try:
            producer.init_transactions(_WITHIN_S)
            written = make()
            if not written:
                return []
            producer.begin_transaction()
            for record in written:
                producer.produce(self._topic, _encode(record), KEY, 0)
            producer.commit_transaction(_WITHIN_S)
            given_up = monotonic() + _WITHIN_S
            while not is_there(written[-1]) and monotonic() < given_up:
                sleep(_PAUSE_S)
        except KafkaException as error:
            if error.args[0].code() in _FENCED:
                raise Overtaken(
                    "somebody else is activating a policy or asking for a rebuild at this moment; try again"
                ) from error
            raise self._away(error) from error
        return written

    def _to_the_end(self, consumer: Consumer) -> list[Record]:
        found: list[Record] = []
        while True:
            message = consumer.poll(_WITHIN_S)
            if message is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {self._topic}"))
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    return found
                raise KafkaException(error)
            try:
                found.append(decode(message.value() or b""))
            except msgspec.DecodeError as undecoded:
                raise Unreadable(f"{self._topic} offset {message.offset()} cannot be read: {undecoded}") from None

    def _away(self, error: KafkaException) -> KafkaUnavailable:
        return KafkaUnavailable(f"Kafka at {self._bootstrap}: {error.args[0].str()}")
