from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Place

#: The places with an error each, or what the whole request failed with.
Answer = Sequence[Place] | KafkaException | RuntimeError


class Committer:
    """Commits in a thread of its own, one request at a time, so that waiting for the coordinator has an end.

    The client's synchronous commit has none: with the broker stopped (SIGSTOP) it was still waiting after 190 s,
    whatever socket.timeout.ms says. Its asynchronous one reports through poll, which may hand partitions over in the
    middle of a claim. So the wait is given up, and the late answer is thrown away. The hop costs some 50 us.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._requests: SimpleQueue[list[Place] | None] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = False
        self._then: Callable[[], None] | None = None

    def commit(self, places: list[Place], timeout_sec: float) -> Answer | None:
        """None: no answer in time; it may still be applied. Also None at once while an earlier request waits."""
        if self.stuck():
            return None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kafka-committer", daemon=True)
            self._thread.start()
        self._requests.put(places)
        self._waiting = True
        return self._take(timeout_sec)

    def stuck(self) -> bool:
        """A commit is under way that its caller has given up. The client must not be unsubscribed or closed then: it
        would wait for that commit.
        """
        return self._waiting and self._take(0.0) is None

    def stop(self, then: Callable[[], None]) -> None:
        """Runs then: here if nothing is under way, else in the committing thread once its commit has ended."""
        if self.stuck():
            self._then = then
            self._requests.put(None)
            return
        self._requests.put(None)
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
        while (places := self._requests.get()) is not None:
            self._answers.put(self._commit(places))
        if self._then is not None:
            self._then()

    def _commit(self, places: list[Place]) -> Answer:
        try:
            return self._consumer.commit(offsets=places, asynchronous=False)
        except (KafkaException, RuntimeError) as error:  # RuntimeError: the consumer is closed
            return error
