from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from processor.core.clock import SystemClock
from processor.core.function import Function, decode_function
from processor.core.topics import FUNCTIONS, TOPICS, queue_topic
from processor.registry.code_store import CodeRefused, CodeStore
from processor.registry.errors import AsyncExecutionLocked, DeployConflict, NotDeployed
from processor.registry.registry import Registry
from processor.registry.spec import FunctionSpec
from processor.transport.abstract import Record, Transport, TransportUnavailable, UnknownTopic
from processor.transport.embedded import EmbeddedTransport
from processor.transport.replay import read_to_end

CALL_SEC = 10.0


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    with EmbeddedTransport(tmp_path / "data") as transport:
        transport.admin().create_topics(TOPICS, CALL_SEC)
        yield transport


@pytest.fixture
def registry(transport: Transport) -> Iterator[Registry]:
    registry = Registry(transport)
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture
def store(tmp_path: Path) -> CodeStore:
    return CodeStore(tmp_path / "data" / "code", data_dir=tmp_path / "data")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("def hello(event, context): ...")
    return tmp_path


def spec(code: Path, **more: Any) -> FunctionSpec:
    return FunctionSpec(name="hello", handler="app:hello", code=code, **more)


def records(transport: Transport) -> list[Record]:
    reader = transport.reader()
    try:
        partitions = reader.partitions(FUNCTIONS.name, CALL_SEC)
        return list(read_to_end(reader, partitions, SystemClock(), timeout_sec=CALL_SEC))
    finally:
        reader.close()


def test_a_deploy_leaves_code_queue_and_record_behind(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    function = registry.deploy(spec(code, concurrency=3), store, actor="me")
    assert registry.view.get("hello") == function
    assert transport.admin().topics(CALL_SEC)["queue.hello.1"] == 3
    found = store.path(function.current.code_digest)
    assert found is not None
    assert [each.name for each in found.iterdir()] == ["app.py"]  # without the data folder, which lies beside it
    (record,) = records(transport)
    assert record.key == b"hello"
    assert record.value is not None
    assert decode_function(record.value) == function
    assert list(record.headers) == [("actor", b"me")]


def test_deploying_the_same_again_writes_nothing(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    first = registry.deploy(spec(code), store, actor="me")
    assert registry.deploy(spec(code), store, actor="you") == first
    assert len(records(transport)) == 1


def test_another_process_sees_a_deploy_after_catching_up(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    other = Registry(transport)
    other.start()
    function = registry.deploy(spec(code), store, actor="me")
    other.catch_up(CALL_SEC)
    assert other.view.get("hello") == function
    other.stop()


def test_refresh_takes_in_what_has_arrived(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    other = Registry(transport)
    other.start()
    registry.deploy(spec(code), store, actor="me")
    while other.view.get("hello") is None:  # the test's time limit is the deadline
        other.refresh()
    other.stop()


def test_a_refused_deploy_changes_nothing(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    function = registry.deploy(spec(code), store, actor="me")
    with pytest.raises(AsyncExecutionLocked):
        registry.deploy(spec(code, async_execution=False), store, actor="me")
    with pytest.raises(DeployConflict):
        registry.deploy(spec(code, role="r"), store, actor="me", expected_revision=7)
    with pytest.raises(CodeRefused):
        registry.deploy(spec(code / "nowhere"), store, actor="me")
    assert registry.view.get("hello") == function
    assert len(records(transport)) == 1


def test_a_function_deleted_and_made_again_gets_a_new_queue(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    registry.deploy(spec(code), store, actor="me")
    registry.remove("hello", actor="me")
    assert registry.view.get("hello") is None
    transport.admin().delete_topic("queue.hello.1", CALL_SEC)
    fresh = Registry(transport)
    fresh.start()
    assert fresh.deploy(spec(code, async_execution=False), store, actor="me").queue_topic == "queue.hello.2"
    fresh.stop()


def test_a_queue_left_over_on_the_broker_is_not_used_again(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    names = ("queue.hello.3", "queue.hello.12", "queue.hello.x", "queue.hello2.40")
    transport.admin().create_topics([queue_topic(name, 1) for name in names], CALL_SEC)
    assert registry.deploy(spec(code), store, actor="me").creation == 13


def test_removing_what_is_not_there_is_said(registry: Registry) -> None:
    with pytest.raises(NotDeployed):
        registry.remove("hello", actor="me")


def test_deploys_of_many_threads_follow_each_other(registry: Registry, store: CodeStore, code: Path) -> None:
    def deploy(number: int) -> None:
        registry.deploy(spec(code, env={"N": str(number)}), store, actor="me")

    threads = [threading.Thread(target=deploy, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    function = registry.view.get("hello")
    assert function is not None
    assert function.revision == 5
    assert {each.env["N"] for each in (function.current, *function.previous)} == set("01234")


class OvertakenRegistry(Registry):
    """Somebody else's deploy, based on the same record as ours, lands right before ours."""

    overtaken = False

    def _write(self, function: Function, actor: str) -> None:
        if not self.overtaken:
            self.overtaken = True
            super()._write(replace(function, current=replace(function.current, version="theirs")), "somebody else")
        super()._write(function, actor)


def test_a_deploy_that_overtook_ours_keeps_its_version_on_the_log(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    first = registry.deploy(spec(code), store, actor="me")
    overtaken = OvertakenRegistry(transport)
    overtaken.start()
    ours = overtaken.deploy(spec(code, role="ours"), store, actor="me")
    overtaken.stop()
    assert ours.current.role == "ours"
    last = records(transport)[-1].value
    assert last is not None
    assert [each.version for each in decode_function(last).previous] == ["theirs", first.current.version]


def test_without_its_topic_the_registry_says_so(tmp_path: Path) -> None:
    with EmbeddedTransport(tmp_path) as transport, pytest.raises(UnknownTopic):
        Registry(transport).start()


def test_a_registry_that_is_not_started_knows_nothing_and_says_so(transport: Transport) -> None:
    registry = Registry(transport)
    registry.refresh()
    with pytest.raises(TransportUnavailable):
        registry.catch_up(CALL_SEC)


def test_a_pause_is_on_the_log_and_stays_through_a_deploy_until_the_resume(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    first = registry.deploy(spec(code), store, actor="me")
    paused = registry.set_paused("hello", True, actor="operator")
    assert paused == replace(first, paused=True, revision=2)
    assert registry.set_paused("hello", True, actor="operator") == paused
    assert [list(each.headers) for each in records(transport)] == [[("actor", b"me")], [("actor", b"operator")]]
    assert registry.deploy(spec(code, concurrency=9), store, actor="me").paused
    other = Registry(transport)
    other.start()
    assert not other.set_paused("hello", False, actor="operator").paused
    other.stop()
    registry.refresh()
    function = registry.view.get("hello")
    assert function is not None
    assert (function.paused, function.concurrency, function.current) == (False, 9, first.current)


def test_a_function_that_is_not_there_cannot_be_paused(registry: Registry) -> None:
    with pytest.raises(NotDeployed):
        registry.set_paused("hello", True, actor="me")


def test_a_resume_that_a_deploy_undoes_at_once_is_made_again(
    transport: Transport, registry: Registry, store: CodeStore, code: Path
) -> None:
    registry.deploy(spec(code), store, actor="me")
    paused = registry.set_paused("hello", True, actor="operator")
    write = registry._write

    def overtaken(function: Function, actor: str) -> None:
        write(function, actor)
        if not function.paused and function.revision == paused.revision + 1:
            write(replace(function, paused=True, concurrency=7), "somebody")  # based on what it was before

    registry._write = overtaken  # type: ignore[method-assign]  # another process in between
    resumed = registry.set_paused("hello", False, actor="operator")
    assert (resumed.paused, resumed.concurrency) == (False, 7)
