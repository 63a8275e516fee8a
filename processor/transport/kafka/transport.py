from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import Any

from processor.core.clock import SystemClock
from processor.core.topics import MAX_MESSAGE_BYTES
from processor.transport.abstract import RebalanceListener, Transport, TransportError, TransportUnavailable
from processor.transport.kafka import security as tls
from processor.transport.kafka.admin import KafkaAdmin
from processor.transport.kafka.appender import KafkaAppender
from processor.transport.kafka.consumer import KafkaConsumer
from processor.transport.kafka.entry import Entry
from processor.transport.kafka.groups import GroupProtocol, Wanted, choose
from processor.transport.kafka.names import Names
from processor.transport.kafka.producer import KafkaProducer
from processor.transport.kafka.reader import KafkaReader
from processor.transport.kafka.settings import (
    APPEND_TIMEOUT_MS,
    REQUEST_TIMEOUT_MS,
    For,
    Value,
    client_settings,
)
from processor.transport.kafka.tail import KafkaTail

_ASK_BROKER_SEC = 10.0


class KafkaTransport(Transport):
    """Headrace on Apache Kafka: confluent-kafka for the loops, aiokafka for the asyncio roles.

    group_protocol "auto": KIP-848 where the broker does it well and notices a dead member within 10 s, else the
    classic protocol. session_timeout_sec: how soon a dead member is noticed. security: SASL and TLS in librdkafka's
    names. replication_factor None: the broker's default. Making a consumer asks the broker once and may raise
    TransportUnavailable; everything else connects in the background.
    """

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        topic_prefix: str = "",
        group_protocol: Wanted = "auto",
        session_timeout_sec: float = 6.0,
        client_id: str = "headrace",
        security: Mapping[str, str] | None = None,
        replication_factor: int | None = None,
    ) -> None:
        self._names = Names(topic_prefix)
        self._wanted: Wanted = group_protocol
        self._session_timeout_ms = int(session_timeout_sec * 1000)
        self._replication_factor = replication_factor
        self._entry = Entry(bootstrap_servers, security or {})
        self._common: dict[str, Value] = {
            "bootstrap.servers": bootstrap_servers,
            "client.id": client_id,
            **tls.checked(security or {}),
        }
        self._asyncio: dict[str, Any] = {
            "bootstrap_servers": bootstrap_servers,
            "client_id": client_id,
            **tls.for_asyncio(security or {}),
        }
        self._lock = threading.Lock()
        self._admin: KafkaAdmin | None = None
        self._protocol: GroupProtocol | None = None

    def producer(self, *, linger_ms: int = 0) -> KafkaProducer:
        return KafkaProducer(self._settings(For.PRODUCER) | {"linger.ms": linger_ms}, self._names)

    def consumer(self, group: str, listener: RebalanceListener) -> KafkaConsumer:
        protocol = self._group_protocol()
        if protocol.group_config:
            self.admin().configure_group(group, protocol.group_config, _ASK_BROKER_SEC)
        kinds = [For.FETCHING, For.MEMBER]
        if protocol.settings["group.protocol"] == "classic":
            kinds.append(For.CLASSIC)
        settings = self._settings(*kinds) | protocol.settings | {"group.id": self._names.on_broker(group)}
        return KafkaConsumer(settings, self._names, listener, SystemClock())

    def reader(self, *, patient: bool = False) -> KafkaReader:
        # The client insists on a group id; nothing is ever committed under this one.
        dummy = {"group.id": self._names.on_broker(f"reader-{uuid.uuid4().hex}")}
        kinds = [For.FETCHING, For.READER, *([For.PATIENT] if patient else [])]
        return KafkaReader(self._settings(*kinds) | dummy, self._names, SystemClock())

    def appender(self) -> KafkaAppender:
        settings = self._asyncio | {
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 0,
            "compression_type": "lz4",
            "request_timeout_ms": APPEND_TIMEOUT_MS,
            "retry_backoff_ms": 50,
            "max_request_size": MAX_MESSAGE_BYTES,
            "metadata_max_age_ms": 10_000,
        }
        return KafkaAppender(settings, self._names)

    def tail(self) -> KafkaTail:
        settings = self._asyncio | {
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "fetch_max_wait_ms": 50,
            "max_partition_fetch_bytes": MAX_MESSAGE_BYTES,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "retry_backoff_ms": 50,
            "metadata_max_age_ms": 10_000,
        }
        return KafkaTail(settings, self._names)

    def admin(self) -> KafkaAdmin:
        with self._lock:
            if self._admin is None:
                self._admin = KafkaAdmin(self._settings(), self._names, self._replication_factor, self._entry)
            return self._admin

    def close(self) -> None:
        with self._lock:
            if self._admin is not None:
                self._admin.close()
            self._admin = None

    def _settings(self, *roles: For) -> dict[str, Value]:
        return self._common | client_settings(*roles)

    def _group_protocol(self) -> GroupProtocol:
        if self._protocol is None:
            self._protocol = choose(self._wanted, self._session_timeout_ms, self._broker_config())
        return self._protocol

    def _broker_config(self) -> Mapping[str, str]:
        if self._wanted == "classic":
            return {}
        try:
            return self.admin().broker_config(_ASK_BROKER_SEC)
        except TransportUnavailable:
            raise
        except TransportError:
            if self._wanted == "auto":
                return {}  # not allowed to look: the classic protocol needs nothing of the broker
            raise
