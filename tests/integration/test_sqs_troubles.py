"""What is wrong with a queue is a state with its remedy; the adapter goes on by itself once it is well again."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.clock import SystemClock
from processor.ops.object_stores import KEYS, LOOPBACK, ministack
from processor.ops.object_stores import running as serving
from tests.integration.storage_rig import Rig, Source, run, running, until, until_state
from triggers.abstract import Binding, TriggerState
from triggers.sqs import SqsTriggers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(ministack(tmp_path_factory.mktemp("ministack"))) as server:
        yield server.url


@pytest.fixture
def source(url: str) -> Iterator[Source]:
    with closing(Source(url)) as made:
        yield made


def test_a_queue_that_is_not_there_is_waited_for(source: Source) -> None:
    rig = Rig(source)

    async def main() -> None:
        async with rig.running() as trigger:
            health = await until_state(trigger, TriggerState.WAITING)
            assert source.queue_name in health.reason
            assert "NonExistentQueue" in health.reason
            assert "Create it again" in health.remedy
            await asyncio.to_thread(source.create_queue)
            await until_state(trigger, TriggerState.WATCHING)
            assert trigger.health.reason == ""

    run(main)


def test_a_queue_that_is_deleted_under_us_and_made_again(source: Source) -> None:
    source.create_queue()
    rig = Rig(source)

    async def main() -> None:
        async with rig.running() as trigger:
            await until_state(trigger, TriggerState.WATCHING)
            await asyncio.to_thread(source.delete_queue)
            health = await until_state(trigger, TriggerState.WAITING)
            assert "NonExistentQueue" in health.reason
            await asyncio.to_thread(source.create_queue)
            await asyncio.to_thread(source.send, source.records("after"))
            await until(lambda: rig.log.subjects == ["after"])
            assert trigger.health.state is TriggerState.WATCHING

    run(main)


def test_an_endpoint_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    server = ministack(tmp_path)

    async def main() -> None:
        with serving(server), closing(Source(server.url)) as source:
            source.create_queue()
            rig = Rig(source)
            async with rig.running() as trigger:
                await until_state(trigger, TriggerState.WATCHING)
                await asyncio.to_thread(server.stop)
                health = await until_state(trigger, TriggerState.WAITING)
                assert "endpoint_url" in health.remedy
                await asyncio.to_thread(server.start)
                await asyncio.to_thread(source.create_queue)
                await asyncio.to_thread(source.send, source.records("after"))
                await until(lambda: rig.log.subjects == ["after"])

    run(main)


def test_one_broken_queue_leaves_the_others_alone(source: Source) -> None:
    source.create_queue()
    rig = Rig(source)

    async def main() -> None:
        broken = {
            **source.settings(),
            "source": {"sqs": {"queue_url": "http://127.0.0.1:9/0/q", "region": "eu-west-1"}},
        }
        shared = SqsTriggers(intake=rig.intake(), clock=SystemClock(), environment=KEYS, wait_sec=1)
        binding = Binding(function="f", creation=1, kind="storage", settings=broken)
        async with running(shared.make(binding)) as other, rig.running() as trigger:
            await asyncio.to_thread(source.send, source.records("k"))
            await until(lambda: rig.log.subjects == ["k"])
            assert other.health.state in (TriggerState.WAITING, TriggerState.STARTING)
            assert trigger.health.state is TriggerState.WATCHING

    run(main)


def test_keys_that_are_not_in_the_environment(source: Source) -> None:
    source.create_queue()
    rig = Rig(source)

    async def main() -> None:
        settings = source.settings()
        shared = SqsTriggers(intake=rig.intake(), clock=SystemClock(), environment={})
        binding = Binding(function="f", creation=1, kind="storage", settings=settings)
        async with running(shared.make(binding)) as trigger:
            health = await until_state(trigger, TriggerState.WAITING)
            assert "AWS_ACCESS_KEY_ID" in health.reason
            assert "start it again" in health.remedy

    run(main)


def test_a_function_that_is_gone_gets_nothing_and_the_message_stays(source: Source) -> None:
    source.create_queue()
    source.send(source.records("k"))
    rig = Rig(source, function=None)

    async def main() -> None:
        async with rig.running() as trigger:
            health = await until_state(trigger, TriggerState.WAITING)
            assert "no function" in health.reason
            await until(lambda: asyncio.to_thread(source.counts), lambda counts: counts == (1, 0))
        assert rig.log.events == []

    run(main)


# --- credentials: none of the servers checks them, so this one does nothing else


class Gatekeeper(ThreadingHTTPServer):
    """SQS that lets nobody in for as long as it has a `refusal`, and has an empty queue otherwise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Gate)
        self.refusal: tuple[int, str] | None = None
        #: Calls that are refused all the same, such as GetQueueAttributes.
        self.forbidden: set[str] = set()
        self.calls: list[str] = []

    def answer(self, call: str) -> tuple[int, dict[str, Any]]:
        self.calls.append(call)
        if self.refusal is not None:
            return self.refusal[0], {"__type": f"com.amazon.coral.service#{self.refusal[1]}", "message": "no"}
        if call in self.forbidden:
            return 400, {"__type": "com.amazon.coral.service#AccessDeniedException", "message": "not allowed"}
        return 200, {"Attributes": {"VisibilityTimeout": "30", "ApproximateNumberOfMessages": "7"}, "Messages": []}


class _Gate(BaseHTTPRequestHandler):
    server: Gatekeeper

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status, document = self.server.answer(self.headers["x-amz-target"].partition(".")[2])
        body = orjson.dumps(document)
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def gate() -> Iterator[Gatekeeper]:
    server = Gatekeeper()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    with contextlib.ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        yield server


def at_gate(gate: Gatekeeper) -> Source:
    return Source(f"http://{LOOPBACK}:{gate.server_address[1]}")


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        ((400, "ExpiredTokenException"), "Renew them"),
        ((403, "InvalidClientTokenId"), "Renew them"),
        ((403, "SignatureDoesNotMatch"), "Renew them"),
        ((400, "AccessDeniedException"), "sqs:ReceiveMessage"),
        ((503, "ServiceUnavailable"), "goes on once it answers"),
        ((400, "SomethingNobodyHasHeardOf"), "tries again by itself"),
    ],
)
def test_credentials_that_expire_and_are_renewed(gate: Gatekeeper, refusal: tuple[int, str], remedy: str) -> None:
    async def main() -> None:
        with closing(at_gate(gate)) as source:
            async with Rig(source).running() as trigger:
                health = await until_state(trigger, TriggerState.WATCHING)
                assert health.lag == 7
                gate.refusal = refusal
                health = await until_state(trigger, TriggerState.WAITING)
                assert refusal[1] in health.reason
                assert remedy in health.remedy
                gate.refusal = None
                await until_state(trigger, TriggerState.WATCHING)

    run(main)


def test_who_may_receive_but_not_look_receives_all_the_same(gate: Gatekeeper) -> None:
    async def main() -> None:
        gate.forbidden = {"GetQueueAttributes"}
        with closing(at_gate(gate)) as source:
            async with Rig(source).running() as trigger:
                health = await until_state(trigger, TriggerState.WATCHING)
                assert health.lag is None
                assert "ReceiveMessage" in gate.calls

    run(main)
