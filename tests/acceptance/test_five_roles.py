"""Five roles as five processes on a real broker, each killed once under load."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from processor.core.clock import SystemClock
from processor.core.ledger import Ended, decode
from processor.core.run import Status
from processor.core.topics import RUNS
from processor.ops.processes import Role, headrace
from processor.transport.kafka import KafkaTransport
from processor.transport.replay import read_to_end

ROLES = ("recorder", "dispatcher", "executor", "gateway", "triggers")
FUNCTIONS = Path(__file__).parent.parent / "functions"
PER_SEC = 40
READY_SEC = 40.0
VERDICTS_SEC = 60.0

MANIFEST = """
version: 1
functions:
  work:
    handler: journal:run
    code: {code}
    concurrency: 8
    env: {{JOURNAL: "{journal}"}}
"""


class Site:
    """One installation of its own on the broker: its settings, its roles, its evidence."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.bootstrap, self.prefix = bootstrap, prefix
        self.environment = {
            "HEADRACE_TRANSPORT": "kafka",
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "HEADRACE_KAFKA__TOPIC_PREFIX": prefix,
            "HEADRACE_DATA_DIR": str(folder / "data"),
            "HEADRACE_EXECUTOR__SLOTS": "4",
            "HEADRACE_GATEWAY__PORT": "0",
        }
        self.roles: dict[str, Role] = {}
        self.port = 0

    def start(self, name: str) -> None:
        role = Role(["start", name], self.environment, self.folder / f"{name}.log")
        self.roles[name] = role
        line = role.wait_for(f"ready {name}", READY_SEC)
        if name == "gateway":
            self.port = int(line.rpartition(":")[2])
            self.environment["HEADRACE_GATEWAY__PORT"] = str(self.port)

    def command(self, *arguments: str) -> str:
        return headrace(arguments, self.environment)

    def kill(self, name: str) -> None:
        self.roles[name].send(signal.SIGKILL)
        self.roles[name].stop()

    def stop(self) -> None:
        for role in reversed(self.roles.values()):
            role.stop()

    def verdicts(self) -> dict[str, list[Ended]]:
        """Of every delivery in log order, straight from the ledger topic."""
        clock = SystemClock()
        found: dict[str, list[Ended]] = {}
        with KafkaTransport(bootstrap_servers=self.bootstrap, topic_prefix=self.prefix) as transport:
            reader = transport.reader()
            try:
                for record in read_to_end(reader, reader.partitions(RUNS.name, 10), clock, timeout_sec=30):
                    entry = decode(record.value)
                    if isinstance(entry, Ended):
                        found.setdefault(entry.request_id, []).append(entry)
            finally:
                reader.close()
        return found


class Caller(threading.Thread):
    """Sends events with their own keys until told to stop; repeats what was not acknowledged under the same key, which
    is what the 503 asks for. Keeps the list of acknowledgements: evidence that the product did not write.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self._site = site
        self._done = threading.Event()
        self.acknowledged: dict[str, str] = {}
        self.refused = 0

    def run(self) -> None:
        number = 0
        while not self._done.is_set():
            self._send(f"event {number}")
            number += 1
            time.sleep(1 / PER_SEC)

    def stop(self) -> None:
        self._done.set()
        self.join(60)

    def _send(self, key: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            run = self._try(key)
            if run is not None:
                self.acknowledged[key] = run
                return
            self.refused += 1
            time.sleep(0.2)
        raise AssertionError(f"{key!r} was never acknowledged")

    def _try(self, key: str) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._site.port, timeout=15)
        try:
            body = orjson.dumps({"sec": 0.02})
            connection.request("POST", "/v1/functions/work/invocations", body, {"Idempotency-Key": key})
            response = connection.getresponse()
            answer = response.read()
            return str(orjson.loads(answer)["request_id"]) if response.status == 202 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


@pytest.fixture
def site(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(kafka_bootstrap, topic_prefix, tmp_path)
    with ExitStack() as stack:
        stack.callback(made.stop)
        made.command("topics", "init")
        for name in ROLES:
            made.start(name)
        manifest = tmp_path / "functions.yaml"
        manifest.write_text(MANIFEST.format(code=FUNCTIONS, journal=made.journal))
        made.command("deploy", "--functions", str(manifest))
        yield made


def starts(journal: Path) -> Counter[str]:
    return Counter(line.split(" ")[0] for line in journal.read_text().splitlines() if line.endswith(" start"))


@pytest.mark.timeout(300)
def test_every_acknowledged_event_gets_one_verdict_though_each_role_is_killed_under_load(site: Site) -> None:
    caller = Caller(site)
    caller.start()
    for name in ROLES:
        time.sleep(2)  # load before and between the kills is the test, not a wait for something
        site.kill(name)
        site.start(name)
    time.sleep(2)
    caller.stop()
    acknowledged = set(caller.acknowledged.values())
    assert len(acknowledged) == len(caller.acknowledged) > PER_SEC

    deadline = time.monotonic() + VERDICTS_SEC
    while missing := acknowledged - site.verdicts().keys():
        assert time.monotonic() < deadline, (
            f"{len(missing)} of {len(acknowledged)} have no verdict: {sorted(missing)[:3]}"
        )
        time.sleep(1)

    verdicts = site.verdicts()
    started = starts(site.journal)
    assert max(started.values()) == 1, "a handler ran twice"
    assert acknowledged <= verdicts.keys()
    for run in acknowledged:
        first = verdicts[run][0]
        assert {each.delivery for each in verdicts[run]} == {first.delivery}, "one delivery each"
        assert (first.status is Status.FINISHED) <= (run in started), "finished means that it ran"
    finished = sum(verdicts[run][0].status is Status.FINISHED for run in acknowledged)
    assert finished >= 0.5 * len(acknowledged)
    history = orjson.loads(site.command("runs", "ls", "-o", "json"))
    assert history
