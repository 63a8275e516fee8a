from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import aiokafka
from aiokafka import TopicPartition as Place
from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient

from processor.transport.abstract import Record, Tail, TransportError, TransportUnavailable, UnknownTopic
from processor.transport.kafka.names import LogicalNames, Names
from processor.transport.kafka.settings import REQUEST_TIMEOUT_MS

# aiokafka has no types.
_Consumer: Any = aiokafka.AIOKafkaConsumer
_Client: Any = AIOKafkaClient

_START_SEC = 2 * REQUEST_TIMEOUT_MS / 1000
_OF_ANY_CLIENT = frozenset(
    {
        "bootstrap_servers",
        "client_id",
        "request_timeout_ms",
        "retry_backoff_ms",
        "security_protocol",
        "ssl_context",
        "sasl_mechanism",
        "sasl_plain_username",
        "sasl_plain_password",
        "sasl_kerberos_service_name",
    }
)
#: aiokafka does not say in which leader's epoch a record was appended.
_NO_EPOCH = -1


class KafkaTail(Tail):
    def __init__(self, settings: Mapping[str, Any], names: Names) -> None:
        self._settings = settings
        self._names = names
        self._logical = LogicalNames(names.prefix)
        self._consumer: Any = None
        #: What was there when start was called and poll has not yet returned: partition -> its end then.
        self._before: dict[Place, int] = {}

    async def start(self, topics: Collection[str], *, from_low: bool) -> None:
        self._consumer = _Consumer(**self._settings)
        try:
            async with asyncio.timeout(_START_SEC):
                await self._consumer.start()
                await self._begin(self._consumer, topics, from_low)
        except (kafka.KafkaError, TimeoutError) as error:
            await self.stop()
            raise TransportUnavailable(f"the topics could not be followed: {error!r}") from error
        except BaseException:
            await self.stop()
            raise

    async def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        try:
            fetched = await self._running().getmany(timeout_ms=int(timeout_sec * 1000), max_records=max_records)
        except kafka.KafkaError as error:
            raise TransportError(f"the topics cannot be followed any longer: {error!r}") from error
        for place, records in fetched.items():
            if records[-1].offset + 1 >= self._before.get(place, 0):
                self._before.pop(place, None)
        return [self._record(each) for records in fetched.values() for each in records]

    async def at_end(self) -> bool:
        # The position passes the holes of compaction, which no record does.
        for place, end in list(self._before.items()):
            if await self._running().position(place) >= end:
                del self._before[place]
        return not self._before

    async def stop(self) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()

    async def _begin(self, consumer: Any, topics: Collection[str], from_low: bool) -> None:
        places = await self._places(topics)
        consumer.assign(places)
        lows, highs = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        self._before = {each: highs[each] for each in places if from_low and lows[each] < highs[each]}
        for place in places:
            consumer.seek(place, lows[place] if from_low else highs[place])

    async def _places(self, topics: Collection[str]) -> list[Place]:
        # A consumer knows the partitions of the topics it reads and of no other.
        client = _Client(**{name: value for name, value in self._settings.items() if name in _OF_ANY_CLIENT})
        try:
            await client.bootstrap()
            cluster = await client.fetch_all_metadata()
        finally:
            await client.close()
        return [each for topic in sorted(topics) for each in self._places_of(topic, cluster)]

    def _places_of(self, topic: str, cluster: Any) -> list[Place]:
        name = self._names.on_broker(topic)
        partitions = cluster.partitions_for_topic(name)
        if not partitions:
            raise UnknownTopic(f"the topic {topic} does not exist")
        return [Place(name, each) for each in sorted(partitions)]

    def _running(self) -> Any:
        if self._consumer is None:
            raise TransportError("this tail is not started, or stopped")
        return self._consumer

    def _record(self, each: Any) -> Record:
        return Record(
            self._logical[each.topic],
            each.partition,
            each.offset,
            _NO_EPOCH,
            each.timestamp,
            each.key,
            each.value,
            each.headers,
        )
