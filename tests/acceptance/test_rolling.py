"""Each role is replaced by a new process beside the draining old one, while runs go on."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from processor.core.run import Status
from processor.ops.processes import CommandFailed, Role
from tests.acceptance.callers import Caller, starts
from tests.acceptance.http_api import ask
from tests.acceptance.kafka_site import ROLES, Site
from tests.waiting import until

FUNCTIONS = Path(__file__).parent.parent / "functions"
WAIT_SEC = 60
PER_SEC = 10

MANIFEST = """
version: 1
functions:
  long: {{handler: "journal:until_gate", code: {code}, concurrency: 20, env: {{JOURNAL: "{journal}", GATE: "{gate}"}}}}
  short: {{handler: "journal:run", code: {code}, concurrency: 4, env: {{JOURNAL: "{journal}"}}}}
"""


@pytest.fixture
def site(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(kafka_bootstrap, topic_prefix, tmp_path)
    made.environment["HEADRACE_EXECUTOR__SLOTS"] = "24"
    with ExitStack() as stack:
        stack.callback(made.stop)
        made.command("topics", "init")
        for name in ROLES:
            made.start(name)
        manifest = tmp_path / "functions.yaml"
        manifest.write_text(MANIFEST.format(code=FUNCTIONS, journal=made.journal, gate=gate_of(made)))
        made.command("deploy", "--functions", str(manifest))
        yield made


def gate_of(site: Site) -> Path:
    """Long runs go on until it is there."""
    return site.folder / "gate"


def begin_long_runs(site: Site, count: int) -> set[str]:
    """Returns once all of them run."""
    answers = [ask(site.port, "POST", "/v1/functions/long/invocations", b"{}") for _ in range(count)]
    assert {each.status for each in answers} == {202}
    runs = {str(each.document["request_id"]) for each in answers}
    until(lambda: runs <= starts(site.journal).keys())
    return runs


def replace(site: Site, name: str) -> Role:
    """Returns the old one, which has been asked to stop and may still be draining."""
    old = site.roles[name]
    if name == "gateway":
        site.environment["HEADRACE_GATEWAY__PORT"] = "0"
    site.start(name)
    old.send(signal.SIGTERM)
    return old


def roll_every_role_under(site: Site, *, runs: int, times: int) -> None:
    caller = Caller(lambda: site.port, "short", per_sec=PER_SEC, data={"sec": 0.02})
    caller.start()
    long = begin_long_runs(site, runs)
    old = [replace(site, name) for _ in range(times) for name in reversed(ROLES)]
    acknowledged = caller.stop() | long
    until(lambda: acknowledged - long <= site.verdicts().keys())
    assert not long & site.verdicts().keys(), "they have gone on through all of it"
    gate_of(site).touch()
    assert [role.join(WAIT_SEC) for role in old] == [0] * len(old)
    until(lambda: acknowledged <= site.verdicts().keys())
    ended = site.verdicts()
    assert caller.refusals == [], "refused"
    assert Counter(each[0].status for each in ended.values()) == {Status.FINISHED: len(acknowledged)}, "killed"
    assert starts(site.journal) == Counter(dict.fromkeys(acknowledged, 1)), "repeated"
    assert all(len(each) == 1 for each in ended.values())
    listed = orjson.loads(site.command("runs", "ls", "--function", "long", "--limit", "100", "-o", "json"))["runs"]
    assert {each["request_id"]: each["status"] for each in listed} == dict.fromkeys(long, "FINISHED")
    until(lambda: is_sound(site, caller))


def is_sound(site: Site, caller: Caller) -> bool:
    """As `headrace audit` sees it; the recorder may still have the last lines in its hands."""
    evidence = [
        "--acknowledgements",
        str(caller.write_down(site.folder / "acknowledged")),
        "--journal",
        str(site.journal),
    ]
    try:
        return bool(orjson.loads(site.command("audit", *evidence, "--drained", "-o", "json"))["ok"])
    except CommandFailed:
        return False


def test_every_role_is_replaced_while_runs_go_on(site: Site) -> None:
    roll_every_role_under(site, runs=4, times=1)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_role_is_replaced_three_times_while_twenty_runs_go_on(site: Site) -> None:
    roll_every_role_under(site, runs=20, times=3)
