"""Kafka's errors that no new attempt mends, and what a person has to do: a partition halts at them.

At all others it is taken over again, however often it takes.
"""

from confluent_kafka import KafkaError

_RIGHTS = "give the scorer the rights that docs/security.md lists, and restart it"
_RECORD = (
    "let `tierline setup` say whether the topics' settings are as they have to be, then restart; if they are, "
    "it is a fault of ours or of who writes topic events: the events from the position on show which"
)
_REMEDIES = {
    KafkaError.MSG_SIZE_TOO_LARGE: _RECORD,
    KafkaError.RECORD_LIST_TOO_LARGE: _RECORD,
    KafkaError.INVALID_RECORD: _RECORD,
    KafkaError.POLICY_VIOLATION: _RECORD,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT: _RECORD,
    KafkaError.TOPIC_EXCEPTION: _RECORD,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError.GROUP_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _RIGHTS,
}


def remedy(error: KafkaError) -> str | None:
    """What to do about it; None if a new attempt may mend it."""
    return _REMEDIES.get(error.code())
