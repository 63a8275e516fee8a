"""Dispatcher, executor and recovery over a real transport, in this process; functions in processes of their own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson

from processor.core.clock import SystemClock
from processor.core.codec import STRUCTURED_CONTENT_TYPE, encode_structured
from processor.core.event import FORMAT_ATTRIBUTE, FUNCTION_ATTRIBUTE, Event
from processor.core.inflight import Intent
from processor.core.ledger import Ended, LedgerRecord, decode
from processor.core.request_id import partition_of, request_id
from processor.core.run import Delivery
from processor.core.topics import INFLIGHT, INTAKE, LOGS, RUNS, TOPICS
from processor.dispatcher.service import DispatcherService
from processor.executor.incarnation import ExecutorSettings
from processor.executor.options import PoolOptions
from processor.executor.pool import InstancePool
from processor.executor.service import ExecutorService
from processor.recovery.service import RecoveryService
from processor.registry.code_store import CodeStore
from processor.registry.registry import Registry
from processor.registry.spec import FunctionSpec
from processor.transport.abstract import Record, Transport
from processor.transport.replay import read_to_end

CALL_SEC = 30.0
FUNCTIONS = Path(__file__).parent.parent / "functions"


class Service(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def join(self, timeout_sec: float) -> bool: ...
    def kill(self) -> None: ...


S = TypeVar("S", bound=Service)


def _end(service: Service) -> None:
    service.kill()
    assert service.join(CALL_SEC), f"{service} did not end"


class Pipeline:
    def __init__(self, transport: Transport, folder: Path) -> None:
        self.transport = transport
        self.folder = folder
        self.clock = SystemClock()
        transport.admin().create_topics(TOPICS, CALL_SEC)
        self.registry = Registry(transport, self.clock)
        self.registry.start()
        self.code = CodeStore(folder / "code")
        self._stack = ExitStack()
        self._stack.callback(self.registry.stop)
        self._producer = transport.producer()
        self._stack.callback(self._producer.close)

    def deploy(self, name: str, handler: str, **more: Any) -> None:
        spec = FunctionSpec(name=name, handler=handler, code=FUNCTIONS, **more)
        self.registry.deploy(spec, self.code, actor="test")

    def dispatcher(self) -> DispatcherService:
        return self.started(DispatcherService(transport=self.transport, registry=self.registry, clock=self.clock))

    def recovery(self) -> RecoveryService:
        return self.started(RecoveryService(transport=self.transport, clock=self.clock, name="test"))

    def executor(self, name: str = "test", *, slots: int = 2) -> ExecutorService:
        folder = self.folder / name
        options = PoolOptions(data_dir=folder, slots=slots)
        service = ExecutorService(
            transport=self.transport,
            registry=self.registry,
            code_store=self.code,
            clock=self.clock,
            settings=ExecutorSettings(name=name, data_dir=folder, slots=slots),
            pool=lambda: InstancePool(options=options, clock=self.clock),
        )
        return self.started(service)

    def started(self, service: S) -> S:
        """Started now, stopped and joined with the pipeline."""
        self._stack.callback(_end, service)
        service.start()
        return service

    def submit(self, function: str, data: Any, event_id: str, **extensions: str) -> str:
        event = Event(
            id=event_id,
            source="test",
            type="test",
            data=orjson.dumps(data),
            extensions={FUNCTION_ATTRIBUTE: function, FORMAT_ATTRIBUTE: "data", **extensions},
        )
        run = request_id(function, "test", event_id)
        self._producer.append(
            INTAKE.name,
            encode_structured(event),
            key=run.encode(),
            partition=partition_of(run, INTAKE.partitions),
            headers=(("content-type", STRUCTURED_CONTENT_TYPE.encode()),),
        )
        self._producer.flush(CALL_SEC)
        return run

    def wait_for_verdicts(self, runs: Collection[str], timeout_sec: float = 40.0) -> dict[str, Ended]:
        """The first `ended` in log order of each; fails when one is missing."""
        found: dict[str, Ended] = {}
        reader = self.transport.reader()
        try:
            reader.assign(dict.fromkeys(reader.partitions(RUNS.name, CALL_SEC), 0))
            deadline = time.monotonic() + timeout_sec
            while not found.keys() >= set(runs):
                assert time.monotonic() < deadline, f"no verdict: {sorted(set(runs) - found.keys())[:5]}"
                for record in reader.poll(1_000, 0.2):
                    entry = decode(record.value)
                    if isinstance(entry, Ended):
                        found.setdefault(entry.request_id, entry)
        finally:
            reader.close()
        return found

    def ledger(self, run: str) -> list[LedgerRecord]:
        return [decode(each.value) for each in self.read(RUNS.name) if each.key == run.encode()]

    def lines(self, run: str) -> list[str]:
        records = [orjson.loads(each.value or b"") for each in self.read(LOGS.name) if each.key == run.encode()]
        return [line[4] for record in records for line in record["lines"]]

    def open_intents(self) -> list[Intent]:
        left: dict[bytes, bytes] = {}
        for record in self.read(INFLIGHT.name):
            if record.value is None:
                left.pop(record.key or b"", None)
            else:
                left[record.key or b""] = record.value
        return [Intent.decode(each) for each in left.values()]

    def read(self, topic: str) -> list[Record]:
        reader = self.transport.reader()
        try:
            return list(read_to_end(reader, reader.partitions(topic, CALL_SEC), self.clock, timeout_sec=CALL_SEC))
        finally:
            reader.close()

    def close(self) -> None:
        self._stack.close()


def deliveries(entries: list[LedgerRecord]) -> set[Delivery | None]:
    return {each.delivery for each in entries if isinstance(each, Ended)}


@contextmanager
def pipeline(transport: Transport, folder: Path) -> Iterator[Pipeline]:
    made = Pipeline(transport, folder)
    try:
        yield made
    finally:
        made.close()


def starts(journal: Path) -> Counter[str]:
    lines = journal.read_text().splitlines() if journal.exists() else []
    return Counter(each.split(" ")[0] for each in lines if each.endswith(" start"))


def await_start(journal: Path, run: str) -> int:
    """Blocks until the run has written its start; returns its process id."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for each in journal.read_text().splitlines() if journal.exists() else []:
            if each.startswith(run) and each.endswith(" start"):
                return int(each.split(" ")[1])
        time.sleep(0.02)
    raise AssertionError(f"{run} did not start")
