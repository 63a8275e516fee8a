"""At which failpoint which process is killed, and what makes it come by there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from processor.core.failpoints import FAILPOINTS


class Drive(Enum):
    """What is done besides the load over HTTP and a watched folder."""

    LOAD = "load"
    CANCEL = "cancel"  # runs that wait and runs that go on are cancelled
    DEPLOY = "deploy"  # another function is deployed, and its queue has its first owner
    GARBAGE = "garbage"  # something that is no event comes in on `intake`
    TICKS = "ticks"  # nine schedules fire every second
    RECORDS = "records"  # another topic is read by a trigger
    MESSAGES = "messages"  # notifications of a bucket are taken from an SQS queue
    STOP = "stop"  # it is asked to stop when all is done
    BOOT = "boot"  # the executor is killed while functions run, and this is its successor
    DUTY = "duty"  # the executor is killed while functions run, and nobody starts it again


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    name: str
    #: On Kafka; on the embedded log everything is one process.
    role: str
    drive: Drive = Drive.LOAD
    passage: int = 1

    @property
    def armed(self) -> str:
        return f"{self.name}:{self.passage}"

    @property
    def id(self) -> str:
        words = [self.name, *([str(self.passage)] if self.passage > 1 else [])]
        return "-".join([*words, *([self.drive.value] if self.drive is not Drive.LOAD else [])])


#: By the beginning of the name; the longest one counts.
_ROLES = {
    "accept.append": "gateway",
    "accept.bulk": "triggers",
    "http.": "gateway",
    "cancel.": "gateway",
    "functions.": "gateway",
    "triggers.": "triggers",
    "folder.": "triggers",
    "kafka.": "triggers",
    "schedule.": "triggers",
    "sqs.": "triggers",
    "dispatch.": "dispatcher",
    "claims.": "executor",
    "runs.": "executor",
    "handover.": "executor",
    "instance.": "executor",
    "books.": "executor",
    "life.": "executor",
    "recovery.": "executor",
    "recovery.beat.": "dispatcher",
    "recorder.": "recorder",
    "embedded.": "server",
}
_DRIVES = {
    "accept.bulk": Drive.TICKS,
    "cancel.": Drive.CANCEL,
    "runs.unstarted.": Drive.CANCEL,
    "functions.": Drive.DEPLOY,
    "claims.opened.": Drive.DEPLOY,
    "kafka.": Drive.RECORDS,
    "schedule.": Drive.TICKS,
    "sqs.": Drive.MESSAGES,
    "dispatch.rejected.": Drive.GARBAGE,
    "life.depart.": Drive.STOP,
    "recovery.": Drive.BOOT,
    "recovery.beat.": Drive.LOAD,
}
#: Passed by many different things, in the order of a run: intents, `started`, verdicts, tombstones, life signs.
_PASSAGES = {
    "books.flush.before": (1, 2, 3, 5, 8, 13),
    "books.flush.after": (1, 2, 3, 5, 8, 13),
    "embedded.commit.before": (1, 2, 4, 8, 16, 32, 64),
    "embedded.commit.after": (1, 2, 4, 8, 16, 32, 64),
    "schedule.settled.before": (1, 10),
    "schedule.settled.after": (1, 10),
    "dispatch.accepted.after": (1, 4),
    "dispatch.queue.after": (1, 4),
    "recovery.close.before": (1, 2),
}
#: Only where there are several processes can one be left dead, and its claims be closed by another.
_DUTY = ("recovery.declare.before", "recovery.declare.after", "recovery.read.held", "recovery.verdicts.after")


def embedded_cases() -> Iterator[Case]:
    for each in _of_table():
        if each.drive is not Drive.RECORDS:
            yield each


def kafka_cases() -> Iterator[Case]:
    for each in _of_table():
        if each.role != "server":
            yield each
    for moment in ("before", "after"):
        yield Case(name=f"accept.append.{moment}", role="triggers")
        yield Case(name=f"accept.bulk.{moment}", role="triggers", drive=Drive.RECORDS)
    for name in _DUTY:
        yield Case(name=name, role="dispatcher", drive=Drive.DUTY)


def _of_table() -> Iterator[Case]:
    for name in FAILPOINTS:
        for passage in _PASSAGES.get(name, (1,)):
            drive = _DRIVES.get(_longest(_DRIVES, name), Drive.LOAD)
            yield Case(name=name, role=_ROLES[_longest(_ROLES, name)], drive=drive, passage=passage)


def _longest(beginnings: dict[str, Drive] | dict[str, str], name: str) -> str:
    return max((each for each in beginnings if name.startswith(each)), key=len, default="")
