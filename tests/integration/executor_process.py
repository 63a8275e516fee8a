"""An executor on Kafka as a process of its own, to be killed: `python -m tests.integration.executor_process ...`."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path

from processor.core.clock import SystemClock
from processor.executor.incarnation import ExecutorSettings
from processor.executor.name_lock import NameLock
from processor.executor.options import PoolOptions
from processor.executor.pool import InstancePool
from processor.executor.service import ExecutorService
from processor.recovery.boot import recover_earlier_incarnations
from processor.registry.code_store import CodeStore
from processor.registry.registry import Registry
from processor.transport.kafka import KafkaTransport


def main(bootstrap: str, prefix: str, folder: Path, name: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(name)s %(message)s")
    clock = SystemClock()
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())
    with KafkaTransport(bootstrap_servers=bootstrap, topic_prefix=prefix) as transport:
        registry = Registry(transport, clock)
        registry.start()
        lock = NameLock(folder / "locks", name)
        options = PoolOptions(data_dir=folder / name, slots=2, lock_fd=lock.descriptor)
        service = ExecutorService(
            transport=transport,
            registry=registry,
            code_store=CodeStore(folder / "code"),
            clock=clock,
            settings=ExecutorSettings(name=name, data_dir=folder / name, slots=2),
            pool=lambda: InstancePool(options=options, clock=clock),
            recover_earlier=(lambda: recover_earlier_incarnations(transport, clock, name)) if lock.held else None,
        )
        service.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        told_to_stop.wait()
        service.stop()
        service.join(60)
        registry.stop()
        lock.release()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
