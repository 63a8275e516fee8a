"""Roles whose Kafka is not there when they start, or goes away under load and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from deploy.kafka.broker import LocalKafka, free_ports
from processor.core.run import Status
from processor.ops.processes import NotReady, Role
from tests.acceptance.callers import Caller, starts
from tests.acceptance.http_api import Answer, ask
from tests.acceptance.kafka_site import READY_SEC, ROLES, Site

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

FUNCTIONS = Path(__file__).parent.parent / "functions"
CALLERS = 4
PER_SEC = 10
VERDICTS_SEC = 60.0
#: What a role may write about one outage: some lines a second.
LOG_LINES = 200
MANIFEST = """
version: 1
functions:
  work: {{handler: "journal:run", code: {code}, concurrency: 8, timeout: 2m, env: {{JOURNAL: "{journal}"}}}}
"""


@pytest.fixture
def site(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(kafka.bootstrap_servers, topic_prefix, tmp_path)
    made.command("topics", "init")
    yield made
    made.stop()


def deploy(site: Site) -> None:
    manifest = site.folder / "functions.yaml"
    manifest.write_text(MANIFEST.format(code=FUNCTIONS, journal=site.journal))
    site.command("deploy", "--functions", str(manifest))


def begin(site: Site, sec: float) -> str:
    """A run that lasts so long; returns once its handler has begun."""
    answer = ask(site.port, "POST", "/v1/functions/work/invocations", orjson.dumps({"sec": sec}))
    run = str(answer.document["request_id"])
    deadline = time.monotonic() + READY_SEC
    while run not in starts(site.journal):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return run


def check_refusal(answer: Answer) -> None:
    status, name, detail = answer.problem
    assert (status, name) == (503, "not-accepted")
    assert detail.startswith(("the event was not accepted: ", "the event may or may not have been accepted: "))
    assert answer.headers["retry-after"] == "1"
    assert answer.document["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("away_sec", [5, pytest.param(30, marks=pytest.mark.slow)])
def test_a_broker_that_goes_away_under_load_costs_time_and_nothing_else(
    kafka: LocalKafka, site: Site, away_sec: int
) -> None:
    for name in ("recorder", "dispatcher", "executor", "gateway"):
        site.start(name)
    deploy(site)
    long = begin(site, away_sec + 8)
    callers = [
        Caller(lambda: site.port, "work", per_sec=PER_SEC, data={"sec": 0.02}, name=f"caller {number}")
        for number in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    time.sleep(2)  # load before, during and after the outage is the test, not a wait for something
    kafka.node(1).kill()
    time.sleep(away_sec)
    kafka.node(1).restart()
    time.sleep(3)
    acknowledged = {long}.union(*(caller.stop() for caller in callers))
    assert len(acknowledged) > CALLERS * PER_SEC

    deadline = time.monotonic() + VERDICTS_SEC
    while missing := acknowledged - site.verdicts().keys():
        assert time.monotonic() < deadline, f"{len(missing)} of {len(acknowledged)} have no verdict: {missing}"
        time.sleep(0.5)
    ended = site.verdicts()
    assert ended.keys() == acknowledged
    assert {len(each) for each in ended.values()} == {1}, "one verdict each"
    assert {each[0].status for each in ended.values()} == {Status.FINISHED}
    assert starts(site.journal) == dict.fromkeys(acknowledged, 1), "no handler ran twice"
    refusals = [answer for caller in callers for answer in caller.refusals]
    for answer in refusals:
        check_refusal(answer)
    if away_sec > 10:  # a shorter outage is waited for
        assert refusals
    assert {name: role.stop() for name, role in site.roles.items()} == dict.fromkeys(site.roles, 0)
    for name in site.roles:
        lines = (site.folder / f"{name}.log").read_text().splitlines()
        assert len(lines) < LOG_LINES, f"{name} floods its log: {lines[-3:]}"


def test_a_role_that_waits_for_its_broker_begins_when_it_comes(kafka: LocalKafka, site: Site) -> None:
    kafka.node(1).kill()
    with Role(["start", "dispatcher"], site.environment, site.folder / "dispatcher.log") as role:
        waiting = role.wait_for("waiting for Kafka", READY_SEC)
        assert waiting == f"waiting for Kafka at {kafka.bootstrap_servers} (up to 60 s) ..."
        kafka.node(1).start()
        role.wait_for("ready dispatcher", READY_SEC)
        assert role.stop() == 0


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """Settings that name a broker which is not there."""
    (port,) = free_ports(1)
    return {
        "HEADRACE_TRANSPORT": "kafka",
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        "HEADRACE_KAFKA__START_LIMIT_SEC": "3",
        "HEADRACE_DATA_DIR": str(tmp_path / "data"),
    }


def test_every_role_says_that_it_waits_for_its_broker_and_gives_up_clearly(
    nowhere: dict[str, str], tmp_path: Path
) -> None:
    address = nowhere["HEADRACE_KAFKA__BOOTSTRAP_SERVERS"]
    with ExitStack() as stack:
        roles = {name: stack.enter_context(Role(["start", name], nowhere, tmp_path / f"{name}.log")) for name in ROLES}
        for name, role in roles.items():
            assert role.wait_for("", READY_SEC) == f"waiting for Kafka at {address} (up to 3 s) ...", name
            with pytest.raises(NotReady, match="ended with 3"):
                role.wait_for("ready", READY_SEC)
    for name in ROLES:
        assert (tmp_path / f"{name}.log").read_text().splitlines() == [
            f"headrace: no Kafka broker answered at {address} within 3 s: "
            "Failed to get metadata: Local: Broker transport failure",
            "  -> Start the broker (`make kafka` on this machine), or correct HEADRACE_KAFKA__BOOTSTRAP_SERVERS.",
        ]
