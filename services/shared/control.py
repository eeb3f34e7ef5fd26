"""Topic `control`, the sequence of policies and the rebuilds asked for: read to its end, written by one at a time.

Blocks.
"""

from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Final, TypeVar

import msgspec
from confluent_kafka import OFFSET_BEGINNING, KafkaException

from schemas.control import Activation, Rebuild, Record
from schemas.topics import CONTROL
from schemas.unreadable import UNREADABLE
from services.shared import single_writer
from services.shared.connection import for_librdkafka
from services.shared.foreign import ForeignRecord
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


class Control:
    """KafkaUnavailable if the broker stays away, TopicMissing or TopicMismatch if the topic isn't as it has to be."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topic, self._writer = settings.topic(CONTROL.name), settings.topic("control-writer")
        self._bootstrap = settings.kafka_bootstrap
        self._connection = for_librdkafka(settings)
        verify_topics(settings, [CONTROL])

    def read(self) -> list[Activation]:
        """All activations, the first one first. ForeignRecord."""
        return [record for record in self.records() if isinstance(record, Activation)]

    def records(self) -> list[Record]:
        """All there is, activations and rebuilds, the first one first. ForeignRecord."""
        consumer = single_writer.open_reader(self._connection, self._writer)
        found: list[Record] = []
        try:
            for message in single_writer.to_the_end(consumer, self._topic, OFFSET_BEGINNING, within_s=_WITHIN_S):
                try:
                    found.append(decode(message.value() or b""))
                except UNREADABLE as undecoded:
                    raise ForeignRecord.at(message, undecoded) from None
        except KafkaException as error:
            raise self._away(error) from error
        finally:
            consumer.close()
        return found

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
        try:
            producer = single_writer.open_writer(self._connection, self._writer, within_s=_WITHIN_S)
            written = make()
            if not written:
                return []
            single_writer.write(producer, self._topic, KEY, map(_encode, written), within_s=_WITHIN_S)
            given_up = monotonic() + _WITHIN_S
            while not is_there(written[-1]) and monotonic() < given_up:
                sleep(_PAUSE_S)
        except KafkaException as error:
            if single_writer.was_fenced(error):
                raise Overtaken(
                    "somebody else is activating a policy or asking for a rebuild at this moment; try again"
                ) from error
            raise self._away(error) from error
        return written

    def _away(self, error: KafkaException) -> KafkaUnavailable:
        return KafkaUnavailable(f"Kafka at {self._bootstrap}: {error.args[0].str()}")
