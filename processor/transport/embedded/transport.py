from __future__ import annotations

from pathlib import Path

from processor.core.clock import Clock, SystemClock
from processor.transport.abstract import (
    Admin,
    Appender,
    Consumer,
    Producer,
    Reader,
    RebalanceListener,
    Tail,
    Transport,
)
from processor.transport.embedded.admin import EmbeddedAdmin
from processor.transport.embedded.appender import EmbeddedAppender
from processor.transport.embedded.consumer import EmbeddedConsumer
from processor.transport.embedded.database import Database
from processor.transport.embedded.folder import FolderLock
from processor.transport.embedded.groups import Coordinator
from processor.transport.embedded.offsets import Offsets
from processor.transport.embedded.producer import EmbeddedProducer
from processor.transport.embedded.reader import EmbeddedReader
from processor.transport.embedded.store import LogStore
from processor.transport.embedded.sweeper import Sweeper
from processor.transport.embedded.tail import EmbeddedTail
from processor.transport.embedded.writer import Writer


class EmbeddedTransport(Transport):
    """The log in a folder of this machine, for one process: the same promises as on Kafka, without a broker."""

    def __init__(
        self,
        data_dir: Path,
        *,
        topic_prefix: str = "",
        session_timeout_sec: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        """Opens or creates the folder. topic_prefix: which installation of this folder.

        Raises DataFolderInUse, DataDamaged.
        """
        clock = clock or SystemClock()
        self._lock = FolderLock(data_dir)
        try:
            self._database = Database(data_dir)
        except BaseException:
            self._lock.release()
            raise
        self._store = LogStore(self._database, topic_prefix)
        self._writer = Writer(self._database.writing, self._store.publish, clock)
        self._offsets = Offsets(self._database, self._store, self._writer)
        self._coordinator = Coordinator(self._store, session_timeout_sec, clock)
        self._sweeper = Sweeper(self._database, self._store, self._writer, clock)
        self._admin = EmbeddedAdmin(self._store, self._writer, self._coordinator, self._offsets, self._sweeper)
        self._writer.start()
        self._sweeper.start()

    def producer(self, *, linger_ms: int = 0) -> Producer:
        return EmbeddedProducer(self._store, self._writer, linger_sec=linger_ms / 1000)

    def consumer(self, group: str, listener: RebalanceListener) -> Consumer:
        return EmbeddedConsumer(self._store, self._coordinator, self._offsets, group, listener)

    def reader(self, *, patient: bool = False) -> Reader:
        return EmbeddedReader(self._store)

    def appender(self) -> Appender:
        return EmbeddedAppender(self._store, self._writer)

    def tail(self) -> Tail:
        return EmbeddedTail(self._store)

    def admin(self) -> Admin:
        return self._admin

    def sweep(self) -> None:
        """Retention and compaction now; they also run by themselves. Raises TransportUnavailable."""
        self._sweeper.sweep(compact_after_records=0)

    def close(self) -> None:
        self._sweeper.stop()
        self._writer.stop()
        self._database.close()
        self._lock.release()
