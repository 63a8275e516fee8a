"""Named places between two steps of the protocol, at which a test kills this process.

Nothing here happens unless a role was started with HEADRACE_TEST_FAILPOINT=NAME:PASSAGE in its environment; no setting
and no file can do it. Then the process kills itself (SIGKILL, as the memory killer would) when it comes by that place
for the PASSAGE-th time.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from processor.core.errors import HeadraceError

#: Only a role reads it, once, as it starts. Settings leave alone what begins so.
VARIABLE = "HEADRACE_TEST_FAILPOINT"

#: Name -> what has happened there, and what has not. Each is one place of the code; in the recorder, one of each store.
FAILPOINTS: Mapping[str, str] = {
    # gateway and triggers: accept
    "accept.append.before": "the event is admitted; nothing is written, nobody was answered",
    "accept.append.after": "the event is on the intake log; nobody was answered",
    "accept.bulk.before": "many events are admitted; none is written",
    "accept.bulk.after": "many events are on the intake log; their source was not told",
    "http.answer.before": "the event is accepted and its key noted; the caller has no answer",
    "cancel.append.before": "a cancel was asked for; nothing is written",
    "cancel.append.after": "the cancel is on the log; the caller has no answer",
    "functions.append.before": "a function's code and queue are there; nobody can know it",
    "functions.append.after": "the function is on the log; whoever deploys was not told",
    # triggers: what an adapter has taken from its source, and told it
    "triggers.submit.before": "an adapter has an event; it is not accepted",
    "triggers.submit.after": "the event is accepted; the adapter has noted nothing",
    "folder.seen.before": "the event of a file is accepted; the file is not noted as seen",
    "folder.seen.after": "the file is noted as seen",
    "kafka.commit.before": "the events of source records are accepted; their offset is not committed",
    "kafka.commit.after": "the source's offset is committed; we have not noted that",
    "schedule.settled.before": "a time has fired; that is not written down",
    "schedule.settled.after": "it is written down; we have not noted that",
    "sqs.delete.before": "the events of messages are accepted; the messages are still in their queue",
    "sqs.delete.after": "the messages are deleted; we have not noted that",
    # dispatcher
    "dispatch.accepted.before": "an event was read from intake; nothing of it is appended",
    "dispatch.accepted.after": "`accepted` is appended, not flushed; the queue entry is not appended",
    "dispatch.queue.after": "the queue entry is appended, not flushed",
    "dispatch.flush.before": "a batch is appended; nobody knows how much of it is durable",
    "dispatch.flush.after": "the batch is durable; the intake offset is where it was",
    "dispatch.commit.before": "the intake offset is about to be committed",
    "dispatch.commit.after": "the intake offset is committed",
    "dispatch.rejected.before": "what is no event was read; nothing of it is on `rejected`",
    "dispatch.rejected.after": "it is appended to `rejected`, not flushed; its verdict is not appended",
    # executor: claims
    "claims.opened.before": "a partition has its first owner ever; no offset is committed",
    "claims.opened.committed": "offset 0 is committed; `opened` is not written",
    "claims.opened.after": "`opened` is written down, not flushed",
    "claims.intents.before": "a batch is planned; no intent is written",
    "claims.intents.written": "the intents are written down; nobody knows whether they are durable",
    "claims.intents.durable": "the intents are durable; the offset is not committed",
    "claims.commit.after": "the offset is committed and the runs are ours; nothing of that is written",
    # executor: runs
    "runs.started.before": "a run is claimed; `started` is not written down",
    "runs.started.after": "`started` is written down, not flushed",
    "runs.unstarted.before": "a claimed run will not start (cancelled, too old); its verdict is not written down",
    "handover.before": "a run is about to be given to the pool",
    "handover.after": "the pool has the run; no instance has it",
    "instance.event.before": "an instance is chosen for the run; it has not got the event",
    "instance.event.after": "the instance has the event; nothing is noted",
    "instance.result": "the instance has answered, or is gone; nothing is noted",
    "runs.ended.before": "a run has its verdict; it is not written down",
    "runs.ended.after": "the verdict is written down, not flushed",
    "books.flush.before": "intents, `started`, verdicts, tombstones, life signs are written down; none is sent",
    "books.flush.after": "they are durable; we have not noted that",
    "books.tombstones.before": "verdicts are durable; the tombstones of their intents are not written",
    # executor: life signs
    "life.beat.before": "a heartbeat is due",
    "life.beat.after": "a heartbeat is written down, not flushed",
    "life.depart.before": "all is written and the group is left; our heartbeat still stands",
    "life.depart.after": "our heartbeat is taken back, not flushed",
    # recovery: the duty beside a dispatcher, and an executor's own before it begins
    "recovery.beat.before": "recovery's heartbeat is due",
    "recovery.beat.after": "recovery's heartbeat is durable",
    "recovery.declare.before": "somebody is found dead; no mark is written",
    "recovery.declare.after": "the mark is durable; no claim of the dead was looked at",
    "recovery.read.intents": "it is known which queues the dead had claims in",
    "recovery.read.committed": "committed offsets are read; `inflight` is not read again",
    "recovery.read.held": "`inflight` is read again; `runs` is not",
    "recovery.read.ledger": "all three are read; nothing is written",
    "recovery.close.before": "a run is to be closed as InstanceLost; the verdict is not appended",
    "recovery.verdicts.before": "the verdicts are appended; nobody knows whether they are durable",
    "recovery.verdicts.after": "the verdicts are durable; the tombstones are not",
    "recovery.tombstones.after": "the tombstones are durable",
    # recorder
    "recorder.batch.before": "records were read; nothing of them is in the history",
    "recorder.commit.before": "they are in a transaction of the history with their offsets; it is not committed",
    "recorder.commit.after": "the transaction is committed",
    # the embedded log: below every append and commit of the above
    "embedded.commit.before": "a transaction of the log is ready; it is not committed",
    "embedded.commit.after": "the transaction is durable; nobody was told",
}


class UnknownFailpoint(HeadraceError):
    """No failpoint is named so."""

    remedy = f"{VARIABLE} is for tests: NAME or NAME:PASSAGE; leave it out everywhere else."

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} names no failpoint and passage")


@dataclass(frozen=True, kw_only=True, slots=True)
class Armed:
    name: str
    #: The how-manieth time somebody comes by, from 1.
    passage: int = 1
    #: Atomic: threads come by at the same time.
    passages: itertools.count[int] = field(default_factory=lambda: itertools.count(1), compare=False)

    @classmethod
    def parse(cls, text: str) -> Armed:
        """Raises UnknownFailpoint."""
        name, _, passage = text.partition(":")
        if name not in FAILPOINTS or not (passage or "1").isdecimal() or passage == "0":
            raise UnknownFailpoint(text)
        return cls(name=name, passage=int(passage or 1))

    def __str__(self) -> str:
        return f"failpoint {self.name}, passage {self.passage}: {FAILPOINTS[self.name]}"


#: Of this process. A variable of the module, since every layer passes failpoints and none should have to be given one.
_armed: Armed | None = None


def failpoint(name: str) -> None:
    """Does nothing, unless this one is armed: then this call does not return."""
    if _armed is not None and name == _armed.name and next(_armed.passages) == _armed.passage:
        _die(_armed)


def arm(environment: Mapping[str, str]) -> Armed | None:
    """For the process as a whole, by VARIABLE; None when it does not stand there. Raises UnknownFailpoint."""
    global _armed
    text = environment.get(VARIABLE, "")
    _armed = Armed.parse(text) if text else None
    return _armed


def _die(armed: Armed) -> None:
    os.write(2, f"reached {armed}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)
