"""From settings to a transport that answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from processor.cli.errors import CommandFailed, Exit
from processor.cli.settings import Settings
from processor.core.topics import TOPICS
from processor.transport.abstract import NotLetIn, Transport, TransportUnavailable, UnknownTopic

#: The client goes on connecting meanwhile; nobody should look at a silent role for longer.
_ASK_SEC = 1.0
_SAY_EVERY_SEC = 10.0
_PAUSE_SEC = 0.5


class BrokerUnreachable(TransportUnavailable):
    """No broker answered."""

    remedy = "Start the broker (`make kafka` on this machine), or correct HEADRACE_KAFKA__BOOTSTRAP_SERVERS."

    def __init__(self, servers: str, limit_sec: float, reason: TransportUnavailable) -> None:
        super().__init__(
            f"no Kafka broker answered at {servers} within {limit_sec:g} s: {reason}",
            remedy=reason.remedy if isinstance(reason, NotLetIn) else "",
        )
        self.servers = servers


class TopicsMissing(UnknownTopic):
    """Topics of this installation do not exist."""

    def __init__(self, names: list[str], prefix: str) -> None:
        of = f" with the prefix {prefix!r}" if prefix else ""
        super().__init__(f"these topics{of} do not exist: {', '.join(names)}")
        self.names = names


def make_transport(settings: Settings) -> Transport:
    """Connects to nothing yet on Kafka; opens the data folder of the embedded log. Raises TransportError."""
    if settings.transport == "embedded":
        from processor.transport.embedded import EmbeddedTransport

        return EmbeddedTransport(settings.data_dir / "log", topic_prefix=settings.kafka.topic_prefix)
    try:
        from processor.transport.kafka import KafkaTransport
    except ImportError as error:
        raise CommandFailed(
            f"the Kafka clients are not installed: {error}",
            remedy="Install them: pip install 'headrace[kafka]'.",
            code=Exit.USAGE,
        ) from error
    kafka = settings.kafka
    return KafkaTransport(
        bootstrap_servers=kafka.bootstrap_servers,
        topic_prefix=kafka.topic_prefix,
        group_protocol=kafka.group_protocol,
        session_timeout_sec=kafka.session_timeout_sec,
        security=kafka.security,
        replication_factor=kafka.replication_factor,
    )


def await_broker(
    transport: Transport, settings: Settings, say: Callable[[str], None], stopping: threading.Event
) -> frozenset[str]:
    """Blocks until the brokers answer, at most kafka.start_limit_sec; returns the topics that exist.

    Raises BrokerUnreachable. Returns nothing once `stopping` is set.
    """
    servers, limit_sec = settings.kafka.bootstrap_servers, settings.kafka.start_limit_sec
    begun = time.monotonic()
    say_at = begun
    while not stopping.is_set():
        try:
            return frozenset(transport.admin().topics(_ASK_SEC))
        except TransportUnavailable as error:
            now = time.monotonic()
            if now - begun >= limit_sec:
                raise BrokerUnreachable(servers, limit_sec, error) from error
            if now >= say_at:
                say_at = now + _SAY_EVERY_SEC
                why = f"{error}. {error.remedy}\n" if isinstance(error, NotLetIn) else ""
                say(f"{why}waiting for Kafka at {servers} (up to {limit_sec:g} s) ...")
        stopping.wait(_PAUSE_SEC)
    return frozenset()


def check_topics(existing: frozenset[str], settings: Settings) -> None:
    """Raises TopicsMissing."""
    missing = [each.name for each in TOPICS if each.name not in existing]
    if missing:
        raise TopicsMissing(missing, settings.kafka.topic_prefix)
