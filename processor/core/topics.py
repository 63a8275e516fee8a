"""The one table of topics: name, key, partitions, retention. Nothing else in Headrace names a topic's settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

DAY_MS = 86_400_000
#: A payload may have 1 MB; the record around it gets as much again (DESIGN 3).
MAX_MESSAGE_BYTES = 2_097_152
#: What an event may weigh at the door (SCF/Lambda asynchronous payload limit: 1 MB).
MAX_EVENT_BYTES = 1_000_000
#: queue, runs and clients carry the intake limit and the stamps around it.
RECORD_HEADROOM_BYTES = 65_536


class Keep(Enum):
    UNTIL_CONSUMED = "until consumed"  # no time retention: the janitor deletes below the committed offset
    DELETE = "delete"
    COMPACT = "compact"
    COMPACT_DELETE = "compact,delete"


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    name: str
    key: str
    partitions: int
    keep: Keep
    retention_ms: int | None = None


INTAKE = Topic(name="intake", key="RequestId", partitions=4, keep=Keep.UNTIL_CONSUMED)
RUNS = Topic(name="runs", key="RequestId", partitions=4, keep=Keep.DELETE, retention_ms=7 * DAY_MS)
LOGS = Topic(name="logs", key="RequestId", partitions=4, keep=Keep.DELETE, retention_ms=3 * DAY_MS)
INFLIGHT = Topic(name="inflight", key="executor + RequestId", partitions=4, keep=Keep.COMPACT)
INSTANCES = Topic(name="instances", key="process", partitions=1, keep=Keep.COMPACT)
QUEUES = Topic(name="queues", key="queue partition", partitions=1, keep=Keep.COMPACT)
FUNCTIONS = Topic(name="functions", key="function", partitions=1, keep=Keep.COMPACT)
SCHEDULES = Topic(name="schedules", key="schedule id", partitions=1, keep=Keep.COMPACT)
TRIGGERS = Topic(name="triggers", key="trigger id", partitions=1, keep=Keep.COMPACT)
CONTROL = Topic(
    name="control",
    key="RequestId, or executor/NAME#INCARNATION",
    partitions=1,
    keep=Keep.COMPACT_DELETE,
    retention_ms=7 * DAY_MS,
)
REJECTED = Topic(name="rejected", key="-", partitions=1, keep=Keep.DELETE, retention_ms=14 * DAY_MS)

TOPICS = (INTAKE, RUNS, LOGS, INFLIGHT, INSTANCES, QUEUES, FUNCTIONS, SCHEDULES, TRIGGERS, CONTROL, REJECTED)

QUEUE_PREFIX = "queue."
#: Queue partitions of a new function, never more than its concurrency (DESIGN 5.7).
QUEUE_PARTITIONS = 4


def queue_topic(name: str, partitions: int) -> Topic:
    """The queue of one creation of a function; `name` comes from Function.queue_topic."""
    return Topic(name=name, key="RequestId", partitions=partitions, keep=Keep.UNTIL_CONSUMED)
