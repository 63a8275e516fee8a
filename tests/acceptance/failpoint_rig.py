"""A whole installation, one process of which is made to kill itself at a failpoint; and what all of it leaves."""

from __future__ import annotations

import contextlib
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import orjson

from processor.core.clock import SystemClock
from processor.core.failpoints import VARIABLE
from processor.core.run import Status
from processor.core.topics import INTAKE, REJECTED, TOPICS
from processor.ops.audit.evidence import read_evidence
from processor.ops.audit.facts import read_facts
from processor.ops.audit.invariants import Report, examine
from processor.ops.chaos.host import RunningRole
from processor.ops.processes import NotReady, headrace
from processor.recorder.sqlite import SqliteHistoryStore
from processor.recorder.store import MAX_PAGE, HistoryError, RunQuery
from processor.transport.abstract import Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from processor.transport.replay import read_to_end
from tests.acceptance.callers import starts
from tests.acceptance.failpoint_cases import Case
from tests.acceptance.failpoint_load import LOOK_SEC
from tests.waiting import until

HANDLERS = Path(__file__).parents[2] / "processor" / "ops" / "chaos" / "functions"
READY_SEC = 40.0
#: Until it has come by the failpoint; recovery's duty waits for 12 s of silence.
DEATH_SEC = 40.0
#: A claim whose commit had not landed when its executor died stays open for now: it might still land. Recovery looks
#: again after 10 s, and an executor of that name when it starts.
AUDIT_SEC = 30.0
#: So long nothing may change before it counts as the end: what nobody counts may still be on its way.
QUIET_SEC = 0.6
SLOTS = 4
CALL_SEC = 10.0
OPEN = (Status.QUEUED.value, Status.RUNNING.value)
#: The invariant that no claim is left open.
OPEN_CLAIMS = "I13"
GARBAGE = b"this is no event"

MANIFEST = """
version: 1
functions:
  work: {{handler: "journal:run", code: {code}, concurrency: 4, env: {{JOURNAL: "{journal}"}}}}
  narrow: {{handler: "journal:run", code: {code}, concurrency: 1, env: {{JOURNAL: "{journal}"}}}}
  files:
    handler: journal:run
    code: {code}
    env: {{JOURNAL: "{journal}"}}
    events:
      - folder: {{path: {uploads}, pattern: "*.txt", event_format: data}}
"""
FURTHER = """
  {name}:
    handler: journal:run
    code: {code}
    env: {{JOURNAL: "{journal}"}}
    events: {events}
"""


class Installation(ABC):
    """Its processes, by name. Blocking calls."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.journal, self.uploads = folder / "journal", folder / "uploads"
        self.history = folder / "history.db"
        self.uploads.mkdir()
        self.journal.touch()
        self.environment = {
            "HEADRACE_DATA_DIR": str(folder / "data"),
            "HEADRACE_HISTORY__URL": f"sqlite:///{self.history}",
            "HEADRACE_EXECUTOR__SLOTS": str(SLOTS),
            "HEADRACE_GATEWAY__PORT": "0",
            "HEADRACE_TRIGGERS__PORT": "0",
            "HEADRACE_FOLDER__SETTLE_SEC": "0.1",
            **environment,
        }
        self.port = 0
        self.roles: dict[str, RunningRole] = {}
        self._further: dict[str, str] = {}
        #: Of all cases: lists of what clients were told, and files that were dropped.
        self.told: list[Path] = []
        self.files: list[str] = []
        self.write_manifest()

    @property
    def manifest(self) -> Path:
        return self.folder / "functions.yaml"

    def add_function(self, name: str, events: Sequence[object] = ()) -> None:
        self._further[name] = orjson.dumps(events).decode()
        self.write_manifest()

    def write_manifest(self) -> None:
        names = {"code": HANDLERS, "journal": self.journal, "uploads": self.uploads}
        further = [FURTHER.format(name=name, events=events, **names) for name, events in self._further.items()]
        self.manifest.write_text(MANIFEST.format(**names) + "".join(further))

    @abstractmethod
    def transport(self) -> Transport:
        """Of the embedded log only while its process does not run."""

    @abstractmethod
    def member_of(self, role: str) -> str:
        """The process that this role is in."""

    @abstractmethod
    def arguments(self, member: str) -> list[str]: ...

    @abstractmethod
    def close_for_audit(self) -> None:
        """Now the log has to be readable for others."""

    @abstractmethod
    def let_recovery_look(self) -> None:
        """Once more, at the claims that are still open."""

    @abstractmethod
    def deploy(self) -> None:
        """What the manifest says. Raises CommandFailed."""

    def start(self, member: str, armed: str = "") -> None:
        """Armed, it may be dead before it is ready."""
        environment = {**self.environment, **({VARIABLE: armed} if armed else {})}
        role = RunningRole(self.arguments(member), environment, self.log_of(member))
        self.roles[member] = role
        try:
            if member in ("gateway", "server"):
                self.port = int(role.wait_for("ready gateway", READY_SEC).rpartition(":")[2])
            if member != "gateway":
                role.wait_for(f"ready {member.replace('server', 'serve')}", READY_SEC)
        except NotReady:
            if not (armed and role.exit_code == -signal.SIGKILL):
                raise

    def log_of(self, member: str) -> Path:
        return self.folder / f"{member}.log"

    def stop(self, member: str) -> None:
        role = self.roles.pop(member)
        code = role.stop(30)
        assert code == 0, f"{member} ended with {code}"

    def kill(self, member: str) -> None:
        self.roles[member].send(signal.SIGKILL)
        self.roles.pop(member).join(10)

    def await_death(self, member: str, case: Case) -> None:
        """Blocks until it has killed itself, there and nowhere else."""
        role = self.roles.pop(member)
        try:
            code = role.join(DEATH_SEC)
        except NotReady:
            role.stop()
            raise AssertionError(f"{case.armed} was never reached") from None
        said = f"reached failpoint {case.name}, passage {case.passage}:"
        assert code == -signal.SIGKILL, f"{member} ended with {code}"
        assert said in self.log_of(member).read_text(), f"{member} was killed, but not there"

    def kill_all(self) -> None:
        for role in self.roles.values():
            with contextlib.suppress(ProcessLookupError):
                role.send(signal.SIGKILL)
        for role in self.roles.values():
            role.join(10)
        self.roles.clear()

    def counts(self) -> dict[tuple[str, str], int]:
        with closing(SqliteHistoryStore(self.history)) as store:
            try:
                return dict(store.run_counts())
            except HistoryError:  # nobody has made it yet
                return {}

    def audit(self) -> Report:
        evidence = read_evidence(self.told, [self.journal])
        with self.transport() as transport:
            return examine(read_facts(transport, SystemClock()), evidence, self.counts(), drained=True)

    def subjects(self, function: str) -> list[str]:
        """What its runs were about, as the history has it."""
        found: list[str] = []
        query = RunQuery(function=function, limit=MAX_PAGE)
        with closing(SqliteHistoryStore(self.history)) as store:
            while True:
                page = store.list_runs(query)
                found += [str(each["subject"]) for each in page.runs]
                if page.cursor is None:
                    return found
                query = replace(query, cursor=page.cursor)

    def not_ended(self, runs: Iterable[str]) -> list[str]:
        """Of these, what the history does not know the end of."""
        with closing(SqliteHistoryStore(self.history)) as store:
            try:
                return [each for each in runs if not (store.get_run(each) or {}).get("ended_at")]
            except HistoryError:
                return ["no history"]

    def write_garbage(self) -> None:
        with self.transport() as transport:
            transport.admin().create_topics(TOPICS, CALL_SEC)
            producer = transport.producer()
            producer.append(INTAKE.name, GARBAGE, key=b"key", partition=0)
            producer.flush(CALL_SEC)
            producer.close()

    def has_rejected_garbage(self) -> bool:
        with self.transport() as transport, closing(transport.reader()) as reader:
            partitions = reader.partitions(REJECTED.name, CALL_SEC)
            records = read_to_end(reader, partitions, SystemClock(), timeout_sec=CALL_SEC)
            return GARBAGE in [each.value for each in records]

    def broker_topic(self, name: str) -> tuple[str, str]:
        """What others call this topic, and the broker's address."""
        raise NotImplementedError


class EmbeddedInstallation(Installation):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"HEADRACE_TRANSPORT": "embedded"})

    def transport(self) -> Transport:
        return EmbeddedTransport(self.folder / "data" / "log")

    def member_of(self, role: str) -> str:
        return "server"

    def arguments(self, member: str) -> list[str]:
        return ["serve", "--embedded", "--functions", str(self.manifest)]

    def close_for_audit(self) -> None:
        self.stop("server")

    def let_recovery_look(self) -> None:
        self.start("server")
        self.stop("server")

    def deploy(self) -> None:
        """It does so when it starts."""


class KafkaInstallation(Installation):
    #: A case failed on it.
    broken = False
    ROLES = ("recorder", "dispatcher", "executor", "gateway", "triggers")

    def __init__(self, folder: Path, bootstrap: str, prefix: str) -> None:
        self._bootstrap, self._prefix = bootstrap, prefix
        environment = {
            "HEADRACE_TRANSPORT": "kafka",
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "HEADRACE_KAFKA__TOPIC_PREFIX": prefix,
            "HEADRACE_KAFKA__SESSION_TIMEOUT_SEC": "3",  # the next owner waits for it
        }
        super().__init__(folder, environment)

    def start_all(self) -> None:
        with self.transport() as transport:
            transport.admin().create_topics(TOPICS, READY_SEC)
        with ThreadPoolExecutor() as threads:
            for ready in [threads.submit(self.start, each) for each in self.ROLES]:
                ready.result()
        self.deploy()

    def transport(self) -> Transport:
        return KafkaTransport(bootstrap_servers=self._bootstrap, topic_prefix=self._prefix)

    def member_of(self, role: str) -> str:
        return role

    def arguments(self, member: str) -> list[str]:
        return ["start", member]

    def close_for_audit(self) -> None:
        """It is."""

    def let_recovery_look(self) -> None:
        time.sleep(LOOK_SEC)

    def broker_topic(self, name: str) -> tuple[str, str]:
        return self._prefix + name, self._bootstrap

    def deploy(self) -> None:
        url = f"http://127.0.0.1:{self.port}"
        headrace(["deploy", "--functions", str(self.manifest)], {**self.environment, "HEADRACE_GATEWAY__URL": url})


def settle(site: Installation, runs: set[str]) -> None:
    """Blocks until the history has the end of all of these and of all files, and nothing that is open; and nothing
    comes any more.
    """
    changed_sec, before = time.monotonic(), site.counts()

    def settled() -> bool:
        nonlocal changed_sec, before
        counts = site.counts()
        if counts != before:
            changed_sec, before = time.monotonic(), counts
        return (
            time.monotonic() - changed_sec > QUIET_SEC
            and not any(status in OPEN for _, status in counts)
            and sum(number for (name, _), number in counts.items() if name == "files") >= len(site.files)
            and not site.not_ended(runs)
        )

    try:
        until(settled, "")
    except AssertionError:
        missing = f"{site.not_ended(runs)[:3]} of what was acknowledged"
        raise AssertionError(f"it does not come to an end: {missing}; {site.counts()}") from None


def _is_only_open(report: Report) -> bool:
    return [each.id for each in report.invariants if each.broken] == [OPEN_CLAIMS]


def check(site: Installation) -> None:
    """Nothing acknowledged is lost, nothing was started twice, everything has one verdict; each file is one run."""
    deadline = time.monotonic() + AUDIT_SEC
    while not (report := site.audit()).ok and _is_only_open(report) and time.monotonic() < deadline:
        site.let_recovery_look()
    assert report.ok, [each for each in report.invariants if each.broken]
    assert {each.id: each.checked for each in report.invariants}["I1"] > 0
    assert max(starts(site.journal).values()) == 1
    assert sorted(site.subjects("files")) == sorted(site.files)
