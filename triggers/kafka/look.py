"""Looks at a source from outside its consumer: is the topic there, what has the group committed, with which notes.

aiokafka's consumer tells neither a missing topic from an idle one nor the metadata of a commit, and asking it for a
topic may create that topic. Imported only where the client is known to be installed.
"""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Any, Self

from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.conn import create_conn
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.metadata import MetadataRequest

from processor.core.certificates import remedy_of
from triggers.kafka.client import CALL_SEC, REQUEST_MS, client_settings, to_its_end
from triggers.kafka.errors import (
    BrokerForbids,
    BrokerUnreachable,
    CertificateRefused,
    LoginRefused,
    SourceTrouble,
    TopicMissing,
)
from triggers.kafka.settings import SourceSettings

# aiokafka has no types.
_Client: Any = AIOKafkaClient
_create_conn: Any = create_conn


class Look:
    """A connection of its own. Every call ends within CALL_SEC and raises SourceTrouble."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._servers = settings.cluster.bootstrap_servers
        self._client: Any = _Client(**client_settings(settings.cluster))
        #: Known after `topic`.
        self.cluster = ""
        self.partitions = 0

    async def __aenter__(self) -> Self:
        try:
            await to_its_end(self._client.bootstrap())
        except (kafka.KafkaError, TimeoutError, OSError) as error:
            await self._client.close()
            raise await self._why_unreachable() from error
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def topic(self) -> None:
        """Raises TopicMissing, BrokerForbids, BrokerUnreachable."""
        topic = self._settings.topic
        answer = await self._ask(self._client.get_random_node(), MetadataRequest([topic], False))
        document = answer.to_object()
        found = document["topics"][0]
        match kafka.for_code(found["error_code"]):
            case kafka.NoError:
                self.cluster = document["cluster_id"] or self._servers
                self.partitions = len(found["partitions"])
            case kafka.UnknownTopicOrPartitionError | kafka.InvalidTopicError:
                raise TopicMissing(topic, self._servers)
            case kafka.TopicAuthorizationFailedError:
                raise BrokerForbids(f"to describe the topic {topic!r}")
            case kind:
                raise SourceTrouble(f"the topic {topic!r} is not ready: {kind.__name__}")

    async def committed(self) -> dict[int, tuple[int, str]]:
        """Offset and metadata of every partition for which the group has some."""
        topic, group = self._settings.topic, self._settings.group
        request = OffsetFetchRequest(group, [(topic, list(range(self.partitions)))])
        answer = await self._ask(await self._coordinator(), request)
        found: dict[int, tuple[int, str]] = {}
        for _, partitions in answer.topics:
            for partition, offset, metadata, code in partitions:
                if code:
                    raise trouble_of(kafka.for_code(code)(), self._settings)
                if offset >= 0:
                    found[partition] = (offset, metadata or "")
        return found

    async def _coordinator(self) -> Any:
        try:
            async with asyncio.timeout(CALL_SEC):
                node = await self._client.coordinator_lookup(CoordinationType.GROUP, self._settings.group)
                await self._client.ready(node)
                return node
        except (kafka.KafkaError, TimeoutError) as error:
            raise trouble_of(error, self._settings) from error

    async def _ask(self, node: Any, request: Any) -> Any:
        try:
            async with asyncio.timeout(CALL_SEC):
                await self._client.ready(node)
                return await self._client.send(node, request)
        except (kafka.KafkaError, TimeoutError) as error:
            raise trouble_of(error, self._settings) from error

    async def _why_unreachable(self) -> SourceTrouble:
        """The client tries each server, tells only its log why it failed, and raises the same error for all: so the
        first is tried once more.
        """
        host, port, _ = self._client.hosts[0]
        options = client_settings(self._settings.cluster)
        own = {name: options[name] for name in options if name.startswith(("sasl_", "ssl_", "security_"))}
        try:
            connection = await to_its_end(_create_conn(host, port, request_timeout_ms=REQUEST_MS, **own))
        except (kafka.KafkaError, TimeoutError, OSError) as error:
            found = trouble_of(error, self._settings)
            known = isinstance(found, LoginRefused | CertificateRefused)
            return found if known else BrokerUnreachable(self._servers, _said(error))
        connection.close()
        return BrokerUnreachable(self._servers, "it has only just come back")


def _said(error: BaseException) -> str:
    return str(error) or "no answer in time"


def trouble_of(error: BaseException, settings: SourceSettings) -> SourceTrouble:
    """The named state behind an error of the client."""
    match error:
        case kafka.TopicAuthorizationFailedError():
            return BrokerForbids(f"to read the topic {settings.topic!r}")
        case kafka.GroupAuthorizationFailedError():
            return BrokerForbids(f"to use the consumer group {settings.group!r}")
        case kafka.UnknownTopicOrPartitionError():
            return TopicMissing(settings.topic, settings.cluster.bootstrap_servers)
        case (
            kafka.SaslAuthenticationFailed()
            | kafka.UnsupportedSaslMechanismError()
            | kafka.IllegalSaslStateError()
            | kafka.AuthenticationFailedError()
        ):
            return LoginRefused(settings.cluster.bootstrap_servers, _said(error))
        case ssl.SSLCertVerificationError():
            remedy = remedy_of(error, authority="ca_file in `security`", servers="bootstrap_servers")
            return CertificateRefused(settings.cluster.bootstrap_servers, error.verify_message, remedy)
        case TimeoutError() | kafka.KafkaConnectionError() | kafka.NodeNotReadyError() | kafka.RequestTimedOutError():
            return BrokerUnreachable(settings.cluster.bootstrap_servers, _said(error))
        case _:
            return SourceTrouble(f"the topic {settings.topic!r} cannot be read: {error!r}")
