"""One broker, and one database, for all workers of pytest-xdist: the process that runs them starts it when the first of
them asks.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import tempfile
import threading
from contextlib import AbstractContextManager
from pathlib import Path

from deploy.kafka.errors import BrokerError, Unavailable

#: A worker's first question waits for jars or image, start and warm-up.
ANSWER_LIMIT_SEC = 280.0
_UNAVAILABLE, _FAILED = "unavailable: ", "failed: "


class BrokerDesk(socketserver.UnixStreamServer):
    """In the controlling process. Workers come and go, and any of them may be the first or the last to need a broker:
    only this process is there all the time.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-tests-"))
        self._broker = contextlib.ExitStack()
        self._answer = ""
        self.address = str(self._folder / "desk")
        super().__init__(self.address, _Visit)
        self._thread = threading.Thread(target=self.serve_forever, name="broker-desk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the broker too."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        self._broker.close()
        shutil.rmtree(self._folder)

    def answer(self) -> str:
        if not self._answer:
            try:
                self._answer = self._broker.enter_context(self._start(self._folder))
            except Unavailable as why:
                self._answer = f"{_UNAVAILABLE}{why}"
            except Exception as error:  # every worker is told
                self._answer = f"{_FAILED}{error!r}"
        return self._answer

    def _start(self, folder: Path) -> AbstractContextManager[str]:
        from tests.broker import any_kafka  # unit tests need neither the Kafka clients nor Docker's

        return any_kafka(folder / "kafka")


class PostgresDesk(BrokerDesk):
    """The same for one PostgreSQL: its address."""

    def _start(self, folder: Path) -> AbstractContextManager[str]:
        from tests.postgres import any_postgres  # as above

        return any_postgres()


class _Visit(socketserver.BaseRequestHandler):
    """One after the other: all but the first find the broker started."""

    def handle(self) -> None:
        assert isinstance(self.server, BrokerDesk)
        with contextlib.suppress(OSError):  # a worker that did not wait for it
            self.request.sendall(self.server.answer().encode())


def ask(address: str) -> str:
    """What the desk has to say. Blocks while the broker starts; raises Unavailable, and BrokerError for a defect."""
    with socket.socket(socket.AF_UNIX) as desk:
        desk.settimeout(ANSWER_LIMIT_SEC)
        desk.connect(address)
        with desk.makefile() as answer:
            text = answer.read()
    if text.startswith(_UNAVAILABLE):
        raise Unavailable(text.removeprefix(_UNAVAILABLE))
    if not text or text.startswith(_FAILED):
        raise BrokerError(text or "the process that runs the workers has ended")
    return text
