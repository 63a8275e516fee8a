from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue

from processor.transport.abstract import Committed, TopicPartition, TransportUnavailable

Offsets = Mapping[TopicPartition, Committed | None]
Answer = Offsets | Exception


class Asker:
    """Asks for committed offsets in a thread of its own, so that waiting for the answer has an end.

    The client's own call has none: while the coordinator is away it asks on and on, past its time limit (with the
    broker stopped it was still asking after 100 s). One question at a time; an answer that comes too late is thrown
    away. The admin client is no way out: its question about a group's offsets, when it times out, can abort the process
    (librdkafka 2.x, `rd_kafka_enq_once_del_source_return: Assertion`).
    """

    def __init__(self) -> None:
        self._questions: SimpleQueue[Callable[[], Offsets] | None] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = False
        self._then: Callable[[], None] | None = None

    def ask(self, question: Callable[[], Offsets], timeout_sec: float) -> Offsets:
        """Raises TransportUnavailable after timeout_sec, and what the question raises."""
        if self._waiting and self._take(timeout_sec) is None:
            raise TransportUnavailable("committed offsets were not read: an earlier question still waits")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kafka-asker", daemon=True)
            self._thread.start()
        self._questions.put(question)
        self._waiting = True
        answer = self._take(timeout_sec)
        if answer is None:
            raise TransportUnavailable("committed offsets were not read in time")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self, then: Callable[[], None]) -> None:
        """Runs then: here if nothing is being asked, else in the asking thread once that has ended. The client must not
        be closed under a call of it.
        """
        if self._waiting and self._take(0.0) is None:
            self._then = then
            self._questions.put(None)
            return
        self._questions.put(None)
        if self._thread is not None:
            self._thread.join()
        then()

    def _take(self, timeout_sec: float) -> Answer | None:
        try:
            answer = self._answers.get(timeout=timeout_sec) if timeout_sec > 0 else self._answers.get_nowait()
        except Empty:
            return None
        self._waiting = False
        return answer

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            self._answers.put(_answer(question))
        if self._then is not None:
            self._then()


def _answer(question: Callable[[], Offsets]) -> Answer:
    try:
        return question()
    except Exception as error:  # whoever asked gets it
        return error
