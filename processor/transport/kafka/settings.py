"""The one table of client settings: what differs from the clients' defaults, for whom, and why."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from processor.core.topics import MAX_MESSAGE_BYTES

Value = str | int | float | bool

#: The header of a batch counts against the topic's limit, but not against the client's, which counts all else.
_BATCH_HEADER_BYTES = 61
MAX_RECORD_BYTES = MAX_MESSAGE_BYTES - _BATCH_HEADER_BYTES

#: After this long an append is UNKNOWN. Longer than a broker's restart (~4 s), shorter than isolation (60 s).
APPEND_TIMEOUT_MS = 10_000
#: One request of any client.
REQUEST_TIMEOUT_MS = 5_000


class For(Enum):
    EVERY = "every client"
    PRODUCER = "producer"
    FETCHING = "consumer and reader"
    MEMBER = "consumer"
    CLASSIC = "consumer, classic protocol"
    READER = "reader"
    PATIENT = "patient reader"


class Setting(NamedTuple):
    used_by: For
    name: str
    value: Value
    reason: str


TABLE: tuple[Setting, ...] = (
    Setting(For.EVERY, "socket.nagle.disable", True, "a commit is one small request: Nagle would hold it back"),
    Setting(For.EVERY, "socket.timeout.ms", REQUEST_TIMEOUT_MS, "a broker that hangs is noticed in 5 s, not 60"),
    Setting(For.EVERY, "socket.connection.setup.timeout.ms", REQUEST_TIMEOUT_MS, "the same, while connecting"),
    Setting(For.EVERY, "reconnect.backoff.ms", 100, "a lost bootstrap server is tried at half of this, with no rise"),
    Setting(For.EVERY, "reconnect.backoff.max.ms", 500, "no outage makes us slow to notice its end"),
    Setting(For.EVERY, "retry.backoff.ms", 20, "a leader change costs milliseconds"),
    Setting(For.EVERY, "retry.backoff.max.ms", 500, "and an outage no request storm"),
    Setting(For.EVERY, "topic.metadata.refresh.fast.interval.ms", 50, "a new topic or leader is looked up at once"),
    Setting(For.EVERY, "topic.metadata.refresh.interval.ms", 10_000, "partitions and leaders that moved unnoticed"),
    Setting(For.EVERY, "log_level", 2, "a lost broker logs 20 lines a second; what matters comes as an exception"),
    Setting(For.PRODUCER, "enable.idempotence", True, "order per partition survives retries (implies acks=all)"),
    Setting(For.PRODUCER, "acks", "all", "acknowledged = durable (DESIGN 2.1)"),
    Setting(For.PRODUCER, "message.timeout.ms", APPEND_TIMEOUT_MS, "then UNKNOWN, and the session is replaced"),
    Setting(For.PRODUCER, "request.timeout.ms", REQUEST_TIMEOUT_MS, "leaves time for one more try before that"),
    Setting(For.PRODUCER, "topic.metadata.propagation.max.ms", 3_000, "an unknown topic is refused in 3 s, not 30"),
    Setting(For.PRODUCER, "message.max.bytes", MAX_RECORD_BYTES, "default 1 MB; refused here, not by the broker"),
    Setting(For.PRODUCER, "partitioner", "murmur2_random", "a key meets the same partition as with aiokafka and Java"),
    Setting(For.PRODUCER, "sticky.partitioning.linger.ms", 0, "records without a key are spread, not lumped"),
    Setting(For.PRODUCER, "compression.type", "lz4", "batches of 20 at linger 0: p99 5.2 -> 2.6 ms; of one: + 0.02 ms"),
    Setting(For.PRODUCER, "delivery.report.only.error", True, "no Python call for a success"),
    Setting(For.FETCHING, "enable.auto.commit", False, "offsets are committed by claims only"),
    Setting(For.FETCHING, "enable.auto.offset.store", False, "no work for commits that are never made"),
    Setting(For.FETCHING, "auto.offset.reset", "error", "never a silent restart from either end (DESIGN 5.3d)"),
    Setting(For.FETCHING, "isolation.level", "read_committed", "aborted records of foreign producers are no events"),
    Setting(For.FETCHING, "fetch.wait.max.ms", 50, "bounds the wait of a new or resumed partition"),
    Setting(For.FETCHING, "fetch.queue.backoff.ms", 5, "default 1 s: the pause after a full local queue"),
    Setting(For.FETCHING, "fetch.error.backoff.ms", 50, "default 500: a partition whose leader moved"),
    Setting(For.FETCHING, "queued.min.messages", 2_000, "half a second at full load; a pause throws them away"),
    Setting(For.FETCHING, "queued.max.messages.kbytes", 16_384, "bounds memory with 1 MB events"),
    Setting(For.FETCHING, "fetch.message.max.bytes", MAX_MESSAGE_BYTES, "per partition and request"),
    Setting(For.FETCHING, "allow.auto.create.topics", False, "topics are made by the table of topics only"),
    Setting(For.MEMBER, "max.poll.interval.ms", 60_000, "a hung member gives its partitions up in a minute"),
    Setting(For.CLASSIC, "partition.assignment.strategy", "cooperative-sticky", "what does not move is not revoked"),
    Setting(For.READER, "enable.partition.eof", True, "positions pass the holes of compaction at the end of a log"),
    Setting(
        For.READER, "fetch.wait.max.ms", 250, "a quiet topic costs 4 requests a second, not 20; news comes at once"
    ),
    Setting(For.PATIENT, "fetch.wait.max.ms", 50, "as long as it waits for these bytes,"),
    Setting(For.PATIENT, "fetch.min.bytes", 65_536, "or one fetch for each append of anybody"),
)


def client_settings(*roles: For) -> dict[str, Value]:
    """The settings of a librdkafka client that plays these roles."""
    return {each.name: each.value for each in TABLE if each.used_by is For.EVERY or each.used_by in roles}
