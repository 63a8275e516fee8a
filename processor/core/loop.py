from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod

from processor.core.errors import HeadraceError

log = logging.getLogger(__name__)


class LoopService(ABC):
    """A service that is one loop on a thread of its own. The words of every life cycle: start, stop, join, kill.

    A loop that fails, for whatever reason, is written down and begun anew: a thread that had died silently would be
    worse than any error it could repeat.
    """

    #: Between a failure and the next beginning.
    back_off_sec = 1.0

    def __init__(self, name: str) -> None:
        #: Set once the loop is to end; `wait` on it instead of sleeping.
        self.stopping = threading.Event()
        self._name = name
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Asks: what is in hand is finished first."""
        self.stopping.set()

    def join(self, timeout_sec: float) -> bool:
        """True when the thread has ended."""
        self._thread.join(timeout_sec)
        return not self._thread.is_alive()

    def kill(self) -> None:
        """Now; the same as stop where nothing in hand takes long."""
        self.stop()

    @abstractmethod
    def serve(self) -> None:
        """Makes what the loop needs, loops until `stopping` is set, and cleans up whatever happens."""

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.serve()
            except Exception as error:
                stack = None if isinstance(error, HeadraceError) else error  # those say by themselves what is wrong
                log.error("%s begins anew: %s", self._name, error, exc_info=stack, extra={"action": "loop_failed"})
                self.stopping.wait(self.back_off_sec)
