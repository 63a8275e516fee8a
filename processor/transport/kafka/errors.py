"""Which of Kafka's errors mean what to Headrace."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from processor.transport.abstract import Outcome

UNKNOWN_TOPICS = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})

#: A partition has no leader yet, or another one than we knew, or its leader has just begun and knows less than we do
#: (UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE: a broker that restarts): ask again.
BETWEEN_LEADERS = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
    }
)

#: Nobody answered, in the client's words.
UNAVAILABLE = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError.REQUEST_TIMED_OUT,
    }
)

#: The record is certainly not on the log: the client or the broker refused it for what it is.
APPEND_REFUSED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError._PURGE_QUEUE,
        *UNKNOWN_TOPICS,
    }
)

#: The coordinator knows this member no longer, or knows a newer one: nothing was applied and nothing will be.
COMMIT_REFUSED = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)

#: Going on would skip records or never get any: the consumer must be made anew, or an operator must act.
FETCH_STOPS = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError._NO_OFFSET,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError._LOG_TRUNCATION,
        KafkaError._BAD_MSG,
        KafkaError._BAD_COMPRESSION,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.UNSUPPORTED_ASSIGNOR,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError.UNRELEASED_INSTANCE_ID,
        KafkaError.FENCED_INSTANCE_ID,
    }
)


def of(exception: KafkaException) -> KafkaError:
    """The error inside an exception of the client."""
    error = exception.args[0]
    assert isinstance(error, KafkaError)
    return error


def append_outcome(error: KafkaError) -> Outcome:
    return Outcome.NO if error.code() in APPEND_REFUSED else Outcome.UNKNOWN


def commit_outcome(error: KafkaError | None) -> Outcome:
    if error is None or error.code() == KafkaError.NO_ERROR:
        return Outcome.YES
    return Outcome.NO if error.code() in COMMIT_REFUSED else Outcome.UNKNOWN


def stops_fetching(error: KafkaError) -> bool:
    """False for what the client mends by itself: lost connections, moved leaders, a topic that is not there yet."""
    return error.fatal() or error.code() in FETCH_STOPS
