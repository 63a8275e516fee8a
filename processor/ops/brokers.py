"""Local brokers as a whole: all of them away, or the one that leads a topic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from processor.core.errors import HeadraceError

if TYPE_CHECKING:
    from deploy.kafka.broker import LocalKafka, Node

CALL_SEC = 15.0


class NoLeader(HeadraceError):
    """Nobody leads this topic at present."""

    remedy = "Wait until enough brokers are back."


class NotInSync(HeadraceError):
    """Some replicas have not caught up in time."""


class Brokers:
    """All calls block. Not thread-safe: one fault at a time."""

    def __init__(self, kafka: LocalKafka) -> None:
        self._kafka = kafka

    @property
    def bootstrap_servers(self) -> str:
        return self._kafka.bootstrap_servers

    def pause(self) -> None:
        for node in self._kafka.nodes:
            node.pause()

    def resume(self) -> None:
        for node in self._kafka.nodes:
            node.resume()

    def kill(self) -> None:
        self._kafka.kill()

    def start(self) -> None:
        """Those that do not run; returns once all of them serve. Raises BrokerError."""
        self._kafka.start()
        self._kafka.wait_ready()

    def await_in_sync(self, timeout_sec: float) -> None:
        """Until every replica of every partition has caught up. Raises NotInSync, KafkaException."""
        give_up_at = time.monotonic() + timeout_sec
        while behind := self._behind():
            if time.monotonic() > give_up_at:
                raise NotInSync(", ".join(behind[:5]))
            time.sleep(0.1)

    def _behind(self) -> list[str]:
        return [
            f"{name}/{number}"
            for name, topic in self._topics().items()
            for number, partition in topic.partitions.items()
            if len(partition.isrs) < len(partition.replicas) or partition.leader < 0
        ]

    def leaders_of(self, topic: str) -> list[Node]:
        """Those that run, of the first topic whose name begins so. Raises NoLeader, KafkaException."""
        for name, known in sorted(self._topics().items()):
            if name.startswith(topic):
                leaders = {each.leader for each in known.partitions.values()}
                found = [node for node in self._kafka.nodes if node.node_id in leaders and node.running]
                if found:
                    return found
        raise NoLeader(topic)

    def _topics(self) -> dict[str, Any]:
        """Name -> what confluent_kafka knows of it."""
        from confluent_kafka.admin import AdminClient

        # log_level 0: it would report each broker that is away on stderr.
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        return dict(admin.list_topics(timeout=CALL_SEC).topics)
