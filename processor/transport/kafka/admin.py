from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, but the package has no __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from processor.core.topics import MAX_MESSAGE_BYTES, Keep, Topic
from processor.transport.abstract import (
    Admin,
    Committed,
    TopicPartition,
    TransportError,
    TransportUnavailable,
    UnknownTopic,
)
from processor.transport.kafka.entry import Entry
from processor.transport.kafka.errors import UNAVAILABLE, UNKNOWN_TOPICS, of
from processor.transport.kafka.group_offsets import GroupOffsets
from processor.transport.kafka.names import Names
from processor.transport.kafka.settings import Value

T = TypeVar("T")

_UNTIL_IT_IS_SEEN_SEC = 0.05

#: A compacted topic is read whole by whoever starts, and the segment being written is never compacted: small segments
#: keep that reading short. A tombstone must outlive any such reading, not a day.
_COMPACTED = {
    "segment.bytes": "16777216",
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "3600000",
}


def topic_config(topic: Topic, replication_factor: int | None) -> dict[str, str]:
    config = {
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
        "retention.bytes": "-1",  # an unread record is not deleted because there are many (DESIGN 5.7)
    }
    if topic.keep is Keep.UNTIL_CONSUMED:
        config |= {"cleanup.policy": "delete", "retention.ms": "-1"}
    else:
        config |= {"cleanup.policy": topic.keep.value}
    if topic.retention_ms is not None:
        config |= {"retention.ms": str(topic.retention_ms)}
    if topic.keep in (Keep.COMPACT, Keep.COMPACT_DELETE):
        config |= _COMPACTED
    if replication_factor is not None and replication_factor >= 3:
        config |= {"min.insync.replicas": "2"}  # acknowledged = on two machines; one may fail
    return config


class KafkaAdmin(Admin):
    """The clients below it are thread-safe, and are all the state there is."""

    def __init__(
        self, settings: Mapping[str, Value], names: Names, replication_factor: int | None, entry: Entry
    ) -> None:
        self._names = names
        self._entry = entry
        self._replication_factor = replication_factor
        self._settings = settings
        client: dict[str, Any] = {**settings, "error_cb": entry.note}
        self._client = AdminClient(client)
        self._lock = threading.Lock()
        #: By group: a client costs a connection, and the same few groups are asked about again and again.
        self._offsets: dict[str, GroupOffsets] = {}

    def create_topics(self, topics: Iterable[Topic], timeout_sec: float) -> list[str]:
        wanted = {self._names.on_broker(each.name): each for each in topics}
        if not wanted:
            return []
        deadline = time.monotonic() + timeout_sec
        asked = self._client.create_topics(
            [self._new(name, each) for name, each in wanted.items()], request_timeout=timeout_sec
        )
        created = [wanted[name].name for name, future in asked.items() if _is_new(future, deadline)]
        self._until(lambda found: all(_is_writable(found.get(name)) for name in wanted), deadline)
        return created

    def topics(self, timeout_sec: float) -> Mapping[str, int]:
        prefix = self._names.prefix
        return {
            self._names.logical(name): len(found.partitions)
            for name, found in self._list(timeout_sec).items()
            if name.startswith(prefix) and not name.startswith("__")
        }

    def delete_topic(self, topic: str, timeout_sec: float) -> None:
        deadline = time.monotonic() + timeout_sec
        name = self._names.on_broker(topic)
        _wait(self._client.delete_topics([name], request_timeout=timeout_sec)[name], deadline)
        self._until(lambda found: name not in found, deadline)

    def delete_records(self, below: Mapping[TopicPartition, int], timeout_sec: float) -> None:
        if not below:
            return
        deadline = time.monotonic() + timeout_sec
        asked = self._client.delete_records(
            [self._names.place(each, offset) for each, offset in below.items()], request_timeout=timeout_sec
        )
        for future in asked.values():
            _wait(future, deadline)

    def committed(
        self, group: str, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> Mapping[TopicPartition, Committed | None]:
        return self._offsets_of(group).committed(partitions, timeout_sec) if partitions else {}

    def topic_id(self, topic: str, timeout_sec: float) -> bytes:
        deadline = time.monotonic() + timeout_sec
        name = self._names.on_broker(topic)
        asked = self._client.describe_topics(TopicCollection([name]), request_timeout=timeout_sec)
        return base64.b64decode(f"{_wait(asked[name], deadline).topic_id}==", validate=True)

    def broker_config(self, timeout_sec: float) -> dict[str, str]:
        """The configuration of one broker. Raises TransportUnavailable."""
        deadline = time.monotonic() + timeout_sec
        try:
            brokers = self._client.list_topics(timeout=timeout_sec).brokers
        except KafkaException as error:
            raise _told(of(error)) from error
        resource = ConfigResource(ResourceType.BROKER, str(min(brokers)))
        entries = _wait(self._client.describe_configs([resource], request_timeout=timeout_sec)[resource], deadline)
        return {name: entry.value for name, entry in entries.items() if entry.value is not None}

    def configure_group(self, group: str, config: Mapping[str, str], timeout_sec: float) -> None:
        """Raises TransportError when this client may not."""
        changes = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.GROUP, self._names.on_broker(group), incremental_configs=changes)
        asked = self._client.incremental_alter_configs([resource], request_timeout=timeout_sec)
        _wait(asked[resource], time.monotonic() + timeout_sec)

    def close(self) -> None:
        with self._lock:
            for each in self._offsets.values():
                each.close()
            self._offsets.clear()

    def _offsets_of(self, group: str) -> GroupOffsets:
        with self._lock:
            if group not in self._offsets:
                self._offsets[group] = GroupOffsets(self._settings, group, self._names)
            return self._offsets[group]

    def _new(self, name: str, topic: Topic) -> NewTopic:
        factor = -1 if self._replication_factor is None else self._replication_factor
        return NewTopic(name, topic.partitions, factor, config=topic_config(topic, self._replication_factor))

    def _list(self, timeout_sec: float) -> Mapping[str, TopicMetadata]:
        try:
            return self._client.list_topics(timeout=max(0.001, timeout_sec)).topics
        except KafkaException as error:
            self._client.poll(0)  # calls back
            raise self._entry.refusal() or _told(of(error)) from error

    def _until(self, seen: Callable[[Mapping[str, TopicMetadata]], bool], deadline: float) -> None:
        while not seen(self._list(deadline - time.monotonic())):
            if time.monotonic() > deadline:
                raise TransportUnavailable("the brokers did not show the change in time")
            time.sleep(_UNTIL_IT_IS_SEEN_SEC)


def _wait(future: Future[T], deadline: float) -> T:
    try:
        return future.result(max(0.001, deadline - time.monotonic()))
    except NotYet as error:
        raise TransportUnavailable from error
    except KafkaException as error:
        raise _told(of(error)) from error


def _is_new(creation: Future[None], deadline: float) -> bool:
    try:
        _wait(creation, deadline)
    except TransportError as error:
        cause = error.__cause__
        if isinstance(cause, KafkaException) and of(cause).code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


def _told(error: KafkaError) -> TransportError:
    if error.code() in UNKNOWN_TOPICS:
        return UnknownTopic(error.str())
    if error.retriable() or error.code() in UNAVAILABLE:
        return TransportUnavailable(error.str())
    return TransportError(f"{error.name()}: {error.str()}")


def _is_writable(topic: TopicMetadata | None) -> bool:
    return (
        topic is not None
        and topic.error is None
        and len(topic.partitions) > 0
        and all(each.leader >= 0 for each in topic.partitions.values())
    )
