"""Everything in one process on the embedded log, and that process killed under load."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import orjson
import pytest

from processor.core.run import Status, StatusCode
from processor.ops.processes import Role, headrace
from processor.transport.embedded import EmbeddedTransport
from tests.acceptance.callers import Caller, starts, verdicts

FUNCTIONS = Path(__file__).parent.parent / "functions"
KILLS = 3
MANIFEST = """
version: 1
functions:
  work:
    handler: journal:run
    code: {code}
    env: {{JOURNAL: "{journal}"}}
"""


class Dev:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = 0
        self.role = self._start()

    def _start(self) -> Role:
        arguments = ["dev", "--functions", str(self._folder / "functions.yaml"), "--port", str(self.port), "--no-open"]
        role = Role([*arguments, "--data", str(self._folder / "data")], {}, self._folder / "dev.log")
        self.port = int(role.wait_for("ready gateway", 30).rpartition(":")[2])
        role.wait_for("ready dev", 30)
        return role

    def kill_and_restart(self) -> None:
        self.role.send(signal.SIGKILL)
        self.role.stop()
        self.role = self._start()

    def start_and_stop(self) -> None:
        """A start closes what the killed ones have left: an intent whose commit never landed, above all."""
        self.role = self._start()
        assert self.role.stop() == 0


@pytest.mark.timeout(200)
def test_every_acknowledged_event_gets_one_verdict_though_the_process_is_killed_under_load(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    (tmp_path / "functions.yaml").write_text(MANIFEST.format(code=FUNCTIONS, journal=journal))
    dev = Dev(tmp_path)
    caller = Caller(lambda: dev.port, "work", per_sec=100, data={"sec": 0.02})
    caller.start()
    for _ in range(KILLS):
        time.sleep(1.5)  # load before and between the kills is the test, not a wait for something
        dev.kill_and_restart()
    time.sleep(1.5)
    acknowledged = caller.stop()
    _wait_until_idle(journal)
    assert dev.role.stop() == 0
    dev.start_and_stop()
    evidence = ["--acknowledgements", str(caller.write_down(tmp_path / "acknowledged")), "--journal", str(journal)]
    report = orjson.loads(
        headrace(["audit", *evidence, "--drained", "-o", "json"], {"HEADRACE_DATA_DIR": str(tmp_path / "data")})
    )
    assert report["ok"]
    with EmbeddedTransport(tmp_path / "data" / "log") as transport:
        ended = verdicts(transport)
    started = starts(journal)
    assert len(acknowledged) > 100
    assert acknowledged <= ended.keys()
    assert max(started.values()) == 1, "a handler ran twice"
    for run in acknowledged:
        first = ended[run][0]
        assert len({each.delivery for each in ended[run]}) == 1
        assert first.status_code in (StatusCode.OK, StatusCode.INSTANCE_LOST)
        assert first.status is not Status.FINISHED or run in started


def _wait_until_idle(journal: Path) -> None:
    """Until nothing has started for a second: what is queued has run, or never will."""
    before, deadline = -1, time.monotonic() + 60
    while (now := sum(starts(journal).values())) != before:
        assert time.monotonic() < deadline
        before = now
        time.sleep(1)
