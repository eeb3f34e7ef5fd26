"""Records that are not what their topic carries: somebody else has written them."""

from confluent_kafka import Message


class ForeignRecord(Exception):
    """A topic holds something that does not belong there. str() is one line that says where it stands."""

    @classmethod
    def at(cls, message: Message, error: Exception) -> "ForeignRecord":
        where = f"{message.topic()}-{message.partition()} offset {message.offset()}"
        return cls(f"{where} cannot be read: {error}; somebody else has written it, or a newer version")
