"""The sequence of policies on topic `control`: read to its end, and written by one writer at a time.

All writers have the same transactional id, so that whoever begins to write ends what another has begun: a record is
only ever written by somebody who has read all before it. Everything here blocks.
"""

from collections.abc import Callable, Sequence
from time import monotonic, sleep

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from schemas.control import Activation
from schemas.topics import CONTROL
from services.shared.connection import SILENT, for_librdkafka
from services.shared.kafka import KafkaUnavailable, verify_topics
from services.shared.settings import KafkaSettings

KEY = b"policy"
_WITHIN_S = 30.0
_PAUSE_S = 0.05
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}

_decode = msgspec.json.Decoder(Activation).decode
_encode = msgspec.json.Encoder().encode


class Overtaken(Exception):
    """Somebody else was writing at the same time; nothing of ours was written. One line."""


class Unreadable(Exception):
    """Topic `control` holds something that is no activation; one line."""


class Control:
    """KafkaUnavailable if the broker stays away, TopicMissing or TopicMismatch if the topic isn't as it has to be."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topic, self._writer = settings.topic(CONTROL.name), settings.topic("control-writer")
        self._bootstrap = settings.kafka_bootstrap
        self._connection = for_librdkafka(settings)
        verify_topics(settings, [CONTROL])

    def read(self) -> list[Activation]:
        """All activations, the first one first. Unreadable."""
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
        producer = Producer(self._connection | {"transactional.id": self._writer}, logger=SILENT)
        try:
            producer.init_transactions(_WITHIN_S)
            activations = following(self.read())
            if not activations:
                return []
            producer.begin_transaction()
            for activation in activations:
                producer.produce(self._topic, _encode(activation), KEY, 0)
            producer.commit_transaction(_WITHIN_S)
            given_up = monotonic() + _WITHIN_S
            while len(self.read()) < activations[-1].sequence and monotonic() < given_up:
                sleep(_PAUSE_S)
        except KafkaException as error:
            if error.args[0].code() in _FENCED:
                raise Overtaken("somebody else is activating a policy at this moment; look at the history") from error
            raise self._away(error) from error
        return activations

    def _to_the_end(self, consumer: Consumer) -> list[Activation]:
        found: list[Activation] = []
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
                found.append(_decode(message.value() or b""))
            except msgspec.DecodeError as undecoded:
                raise Unreadable(f"{self._topic} offset {message.offset()} is no activation: {undecoded}") from None

    def _away(self, error: KafkaException) -> KafkaUnavailable:
        return KafkaUnavailable(f"Kafka at {self._bootstrap}: {error.args[0].str()}")
