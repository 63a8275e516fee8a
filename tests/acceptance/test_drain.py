"""SIGTERM: take no more, finish what runs. A second one: stop now, with verdicts."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.ledger import Ended
from processor.core.run import StatusCode
from processor.transport.embedded import EmbeddedTransport
from tests.acceptance.callers import starts, verdicts
from tests.acceptance.dev_server import DevServer
from tests.acceptance.http_api import ask
from tests.acceptance.kafka_site import ROLES, Site
from tests.waiting import until

FUNCTIONS = Path(__file__).parent.parent / "functions"
WAIT_SEC = 40.0
#: A stop that has to happen now, on a busy machine; less than the 10 s that a gateway gives to what is under way.
NOW_SEC = 8.0

MANIFEST = """
version: 1
functions:
  gated: {{handler: "journal:until_gate", code: {code}, concurrency: 1, env: {{JOURNAL: "{j}", GATE: "{g}"}}}}
"""


def manifest(folder: Path) -> str:
    return MANIFEST.format(code=FUNCTIONS, j=folder / "journal", g=folder / "gate")


def started_pid(journal: Path, run: str) -> int:
    until(lambda: run in starts(journal))
    return next(int(line.split(" ")[1]) for line in journal.read_text().splitlines() if line.startswith(run))


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def embedded_verdicts(server: DevServer) -> dict[str, list[Ended]]:
    with EmbeddedTransport(server.data / "log") as transport:
        return verdicts(transport)


def test_a_drained_dev_server_finishes_what_runs_and_keeps_what_waits(tmp_path: Path) -> None:
    server = DevServer(tmp_path, manifest(tmp_path))
    running = server.accepted("gated")
    started_pid(tmp_path / "journal", running)
    waiting = server.accepted("gated")
    server.role.send(signal.SIGTERM)
    server.role.wait_for("executor finishes what it has", WAIT_SEC)
    (tmp_path / "gate").touch()
    assert server.role.join(WAIT_SEC) == 0
    assert starts(tmp_path / "journal").keys() == {running}
    again = DevServer(tmp_path, manifest(tmp_path), data=server.data)
    try:
        assert again.end_of(running)["status"] == "FINISHED"
        assert again.end_of(waiting)["status"] == "FINISHED"
    finally:
        again.stop()


def test_a_dev_server_told_twice_stops_now_with_verdicts(tmp_path: Path) -> None:
    server = DevServer(tmp_path, manifest(tmp_path))
    run = server.accepted("gated")
    pid = started_pid(tmp_path / "journal", run)
    server.role.send(signal.SIGTERM)
    server.role.wait_for("executor finishes what it has", WAIT_SEC)
    server.role.send(signal.SIGTERM)
    assert server.role.join(NOW_SEC) == 0
    assert is_gone(pid)
    [verdict] = embedded_verdicts(server)[run]
    assert verdict.status_code is StatusCode.INSTANCE_LOST
    assert verdict.error is not None
    assert "told to stop now" in verdict.error.message


def test_a_client_that_does_not_finish_holds_up_no_server_that_is_told_twice(tmp_path: Path) -> None:
    server = DevServer(tmp_path, manifest(tmp_path))
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST /v1/functions/gated/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        assert server.ask("GET", "/healthz").status == 200
        server.role.send(signal.SIGTERM)
        server.role.wait_for("gateway finishes what it has", WAIT_SEC)
        server.role.send(signal.SIGTERM)
        assert server.role.join(NOW_SEC) == 0


@pytest.fixture
def site(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(kafka_bootstrap, topic_prefix, tmp_path)
    try:
        made.command("topics", "init")
        for name in ROLES:
            made.start(name)
        file = tmp_path / "functions.yaml"
        file.write_text(manifest(tmp_path))
        made.command("deploy", "--functions", str(file))
        yield made
    finally:
        made.stop()


def test_an_executor_that_is_asked_to_drain_finishes_its_run_and_leaves_what_waits_to_others(site: Site) -> None:
    running, waiting = (
        str(ask(site.port, "POST", "/v1/functions/gated/invocations", b"{}").document["request_id"]) for _ in range(2)
    )
    until(lambda: len(starts(site.journal)) == 1)
    first = next(iter(starts(site.journal)))
    executor = site.roles["executor"]
    until(lambda: executor_name() in site.command("executors", "ls"))
    assert site.command("executors", "drain", executor_name()).endswith(" drains\n")
    until(lambda: "draining" in site.command("executors", "ls"))
    (site.folder / "gate").touch()
    assert executor.join(WAIT_SEC) == 0
    assert starts(site.journal).keys() == {first} < {running, waiting}
    site.start("executor")
    until(lambda: len(site.verdicts()) == 2)
    assert {each.status_code for [each] in site.verdicts().values()} == {StatusCode.OK}


def test_each_role_told_once_ends_in_order_and_an_executor_told_twice_leaves_a_verdict(site: Site) -> None:
    run = str(ask(site.port, "POST", "/v1/functions/gated/invocations", b"{}").document["request_id"])
    pid = started_pid(site.journal, run)
    executor = site.roles["executor"]
    executor.send(signal.SIGTERM)
    executor.wait_for("executor finishes what it has", WAIT_SEC)
    executor.send(signal.SIGTERM)
    assert executor.join(NOW_SEC) == 0
    assert is_gone(pid)
    [verdict] = site.verdicts()[run]
    assert (verdict.status_code, verdict.executor.split("#")[0]) == (StatusCode.INSTANCE_LOST, executor_name())
    for name in ("triggers", "gateway", "dispatcher", "recorder"):
        role = site.roles[name]
        role.send(signal.SIGTERM)
        assert role.join(WAIT_SEC) == 0, name


def executor_name() -> str:
    return socket.gethostname()
