from __future__ import annotations

from collections.abc import Mapping

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from processor.transport.abstract import AppendFailed, BufferFull, Headers, Outcome, Producer, RecordTooLarge
from processor.transport.kafka.errors import append_outcome, of
from processor.transport.kafka.names import Names
from processor.transport.kafka.settings import MAX_RECORD_BYTES, Value

#: What close waits for the reports of records it has purged.
_CLOSE_SEC = 0.5
#: librdkafka asks for its producer id when it connects. A record that is there before that makes it ask too early, and
#: then again only half a second later: measured 0.51 s to the first acknowledgement without this pause, 0.06 s with it.
_CONNECT_SEC = 0.02


class KafkaProducer(Producer):
    """One idempotent client session. Idempotence keeps the order over retries, but a record that timed out is left out
    and later ones of its partition land (`enable.gapless.guarantee` does not cover message.timeout.ms): hence any
    failure breaks the session.
    """

    def __init__(self, settings: Mapping[str, Value], names: Names) -> None:
        self._prefix = names.prefix
        self._failure: tuple[Outcome, str] | None = None
        self._too_large = False
        self._client = confluent_kafka.Producer({**settings, "on_delivery": self._on_delivery})
        self._produce = self._client.produce
        self._client.poll(_CONNECT_SEC)

    def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> None:
        if self._failure is not None:
            raise AppendFailed(*self._failure, too_large=self._too_large)
        try:
            if headers:
                self._produce(
                    self._prefix + topic, value, key, -1 if partition is None else partition, headers=list(headers)
                )
            else:
                self._produce(self._prefix + topic, value, key, -1 if partition is None else partition)
        except BufferError:
            self._client.poll(0)  # room is made by reports, and nobody may have asked for them for a while
            raise BufferFull from None
        except KafkaException as error:
            self._not_queued(topic, of(error))

    def flush(self, timeout_sec: float) -> None:
        left = self._client.flush(timeout_sec)
        if left and self._failure is None:
            self._break(Outcome.UNKNOWN, f"{left} records were not acknowledged within {timeout_sec} s")
        if self._failure is not None:
            raise AppendFailed(*self._failure, too_large=self._too_large)

    def landed(self, timeout_sec: float) -> bool:
        left = self._client.flush(timeout_sec)
        if self._failure is not None:
            raise AppendFailed(*self._failure, too_large=self._too_large)
        return not left

    def poll(self) -> None:
        self._client.poll(0)
        if self._failure is not None:
            raise AppendFailed(*self._failure, too_large=self._too_large)

    def close(self) -> None:
        self._break(Outcome.UNKNOWN, "the session is closed")
        self._client.purge()
        self._client.flush(_CLOSE_SEC)

    def _not_queued(self, topic: str, error: KafkaError) -> None:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise RecordTooLarge(f"a record of {topic} weighs more than {MAX_RECORD_BYTES} bytes")
        self._break(append_outcome(error), f"{topic}: {error.name()}: {error.str()}")
        raise AppendFailed(append_outcome(error), error.str()) from None

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._too_large = self._too_large or error.code() == KafkaError.MSG_SIZE_TOO_LARGE
            where = f"{message.topic()}[{message.partition()}]"
            self._break(append_outcome(error), f"{where}: {error.name()}: {error.str()}")

    def _break(self, outcome: Outcome, reason: str) -> None:
        # UNKNOWN outweighs NO: the failure speaks for every record since the last good flush.
        if self._failure is None or (self._failure[0] is Outcome.NO and outcome is Outcome.UNKNOWN):
            self._failure = (outcome, reason)
