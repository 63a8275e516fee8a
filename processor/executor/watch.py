from __future__ import annotations

import contextlib
import select
from collections.abc import Callable


class Watch:
    """The one epoll of the executor's loop, and who reads what is ready."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], object]] = {}

    def add(self, descriptor: int, read: Callable[[], object]) -> None:
        self._readers[descriptor] = read
        self._epoll.register(descriptor, select.EPOLLIN)

    def for_room(self, descriptor: int, wanted: bool) -> None:
        """Also calls the reader when there is room to write."""
        self._epoll.modify(descriptor, select.EPOLLIN | select.EPOLLOUT if wanted else select.EPOLLIN)

    def remove(self, descriptor: int) -> None:
        """Before the descriptor is closed. Harmless when it is not watched."""
        if self._readers.pop(descriptor, None) is not None:
            with contextlib.suppress(FileNotFoundError):
                self._epoll.unregister(descriptor)

    def turn(self, timeout_sec: float) -> None:
        """Waits for something to be ready, and reads each ready descriptor once."""
        readers = self._readers
        for descriptor, _ in self._epoll.poll(timeout_sec):
            read = readers.get(descriptor)  # an earlier reader of this turn may have removed it
            if read is not None:
                read()

    def close(self) -> None:
        self._epoll.close()
