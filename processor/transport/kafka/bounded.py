from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from processor.transport.abstract import TransportUnavailable

T = TypeVar("T")


class NotBegun(TransportUnavailable):
    """An earlier call of the client still waits for its broker, and this one was not made."""


class NoAnswer(TransportUnavailable):
    """The broker did not answer this call in time; what it asked for may still happen."""


class BoundedCalls:
    """Makes blocking calls of a client in a thread of its own, one at a time, so that waiting for each has an end.

    Some calls of librdkafka have none: with the broker stopped (SIGSTOP) a synchronous commit was still waiting after
    190 s and a question about committed offsets after 100 s, whatever their time limits and socket.timeout.ms say. So
    the wait is given up, and a late answer is thrown away. The hop costs some 50 us. Not an executor of
    concurrent.futures: the interpreter would wait for its thread at exit. Used by one thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._latest: Future[Any] | None = None
        self._then: Callable[[], object] | None = None

    def call(self, work: Callable[[], T], timeout_sec: float) -> T:
        """Blocks for timeout_sec at most, an earlier call that is still under way included. Raises NotBegun, NoAnswer,
        and what the work raises.
        """
        deadline = time.monotonic() + timeout_sec
        if self._latest is not None and not _ended(self._latest, deadline):
            raise NotBegun
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._latest = answer = Future[T]()
        self._calls.put((work, answer))
        if not _ended(answer, deadline):
            raise NoAnswer
        return answer.result()

    def stuck(self) -> bool:
        """A call is under way that its caller has given up. Nothing that waits for it may be asked of the client."""
        return self._latest is not None and not self._latest.done()

    def stop(self, then: Callable[[], object]) -> None:
        """Runs then: here if nothing is under way, else in the calling thread once its call has ended: a client must
        not be closed under a call of it.
        """
        stuck = self.stuck()
        if stuck:
            self._then = then
        self._calls.put(None)
        if stuck:
            return
        if self._thread is not None:
            self._thread.join()
        then()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            work, answer = call
            try:
                answer.set_result(work())
            except Exception as error:  # whoever called gets it
                answer.set_exception(error)
        if self._then is not None:
            self._then()


def _ended(answer: Future[Any], deadline: float) -> bool:
    try:
        answer.exception(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return False
    return True
