from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processor.core.clock import SystemClock
from processor.core.control import DrainRequest
from processor.core.run import StatusCode
from processor.core.topics import CONTROL, INSTANCES
from processor.executor import service as module
from processor.executor.abstract import FunctionCode, GuardNotStarted, PoolEvent, RunInput
from processor.executor.incarnation import ExecutorSettings
from processor.executor.service import ExecutorService
from processor.registry.registry import Registry
from processor.transport.abstract import TransportError
from tests.unit.scripted_transport import ScriptedTransport
from tests.waiting import until


class EmptyPool:
    def __init__(self, house: House) -> None:
        self._house = house

    def start(self, may_start: Callable[[], bool] = lambda: True) -> None:
        if self._house.guards_that_fail:
            self._house.guards_that_fail -= 1
            raise GuardNotStarted
        self._house.serving.set()

    def free_slots(self) -> int:
        return 0

    def start_run(self, code: FunctionCode, run: RunInput, *, concurrency: int) -> None: ...

    def kill(self, delivery: str, code: StatusCode, message: str, *, grace_sec: float = 0.0) -> bool:
        return False

    def kill_all(self, code: StatusCode, message: str) -> None: ...

    def wait(self, timeout_sec: float) -> None:
        self._house.never.wait(min(timeout_sec, 0.001))

    def poll(self, timeout_sec: float = 0.0) -> list[PoolEvent]:
        self.wait(timeout_sec)
        return []

    def stop(self) -> None: ...

    def join(self, timeout_sec: float) -> bool:
        self._house.joined += 1
        self._house.ended.set()
        return True


class NoCode:
    def path(self, digest: str) -> Path | None:
        return None


class House:
    def __init__(self) -> None:
        self.transport = ScriptedTransport()
        self.clock = SystemClock()
        self.never = threading.Event()
        self.serving = threading.Event()
        self.ended = threading.Event()
        self.guards_that_fail = 0
        self.pools = 0
        self.joined = 0
        registry = Registry(self.transport, self.clock)
        registry.start()
        self.service = ExecutorService(
            transport=self.transport,
            registry=registry,
            code_store=NoCode(),
            clock=self.clock,
            settings=ExecutorSettings(name="e", data_dir=Path("/data")),
            pool=self._pool,
        )

    def _pool(self) -> EmptyPool:
        self.pools += 1
        return EmptyPool(self)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(module, "BACK_OFF_SEC", 0.02)
    made = House()
    yield made
    made.service.kill()
    assert made.service.join(20)
    assert made.joined == made.pools, "every pool is ended"
    assert all(each.closed for each in made.transport.producers)


@pytest.mark.parametrize("error", [TransportError(), KeyError("a defect"), OSError("no descriptors")])
def test_an_executor_that_cannot_begin_tries_again_whatever_the_reason(house: House, error: Exception) -> None:
    house.transport.failures["consumer"] = error
    house.transport.on_failure = house.transport.failures.clear
    house.service.start()
    assert house.serving.wait(10)


def test_an_incarnation_that_ends_at_once_is_followed_by_another(house: House) -> None:
    house.guards_that_fail = 3
    house.service.start()
    assert house.serving.wait(10)
    assert house.pools == 4


def test_a_successor_waits_a_moment_however_fast_the_one_before_it_failed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_OFF_SEC", 30.0)
    house.guards_that_fail = 1_000
    house.service.start()
    assert house.ended.wait(10)
    house.service.stop()
    assert house.service.join(10), "and it does not hold up the stop"
    assert house.pools == 1


def test_an_executor_that_is_asked_to_drain_has_no_successor(house: House) -> None:
    house.service.start()
    assert house.serving.wait(10)
    until(lambda: house.transport.records(INSTANCES.name))
    key = house.transport.records(INSTANCES.name)[0].key or b""
    wanted = DrainRequest(executor=key.decode().split(" ")[1])
    house.transport.put(CONTROL.name, 0, wanted.key, wanted.encode())
    assert house.service.join(10)
    assert (house.service.drain_requested, house.pools) == (True, 1)
