from __future__ import annotations

from processor.transport.kafka.transport import KafkaTransport

__all__ = ["KafkaTransport"]
