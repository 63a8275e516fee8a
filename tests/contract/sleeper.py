"""A member that sleeps through its eviction. Run as a program, it is the member that a Kafka test stops with SIGSTOP:
its client's own threads must stop too, or they would keep the membership alive.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from processor.transport.abstract import Outcome, TopicPartition, Transport
from tests.contract.member import Member, until

_EXIT_SEC = 10.0
_ROOT = Path(__file__).resolve().parents[2]


class Sleeper(ABC):
    """Awake from the first call on."""

    @abstractmethod
    def commit(self, partition: TopicPartition, offset: int, metadata: str) -> Outcome:
        """Before it has polled again, as a claim that was interrupted would."""

    @abstractmethod
    def calls_until(self, call: str) -> list[str]:
        """Polls until its listener has had this call ("lost", "assign"); returns all calls it ever had."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ThreadSleeper(Sleeper):
    """For a transport whose members live by being polled."""

    def __init__(self, transport: Transport, group: str, topic: str, *, sleep: Callable[[], None]) -> None:
        self._member = Member(transport, group, [topic])
        until(lambda: bool(self._member.received), self._member)
        sleep()

    def commit(self, partition: TopicPartition, offset: int, metadata: str) -> Outcome:
        return self._member.commit(partition, offset, metadata)

    def calls_until(self, call: str) -> list[str]:
        seen = len(self._member.calls())
        until(lambda: call in self._member.calls()[seen:], self._member)
        return self._member.calls()

    def close(self) -> None:
        self._member.consumer.close()


class ProcessSleeper(Sleeper):
    def __init__(
        self,
        bootstrap_servers: str,
        topic_prefix: str,
        group_protocol: str,
        group: str,
        topic: str,
        session_timeout_sec: float,
    ) -> None:
        settings = json.dumps([bootstrap_servers, topic_prefix, group_protocol, group, topic, session_timeout_sec])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.sleeper", settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        try:
            self._answer()
        except BaseException:
            self.close()
            raise
        self._process.send_signal(signal.SIGSTOP)

    def commit(self, partition: TopicPartition, offset: int, metadata: str) -> Outcome:
        # The order waits in the pipe, so it commits before its client has noticed that time has passed.
        outcome = self._ask(["commit", partition.topic, partition.partition, offset, metadata])
        assert isinstance(outcome, str)
        return Outcome(outcome)

    def calls_until(self, call: str) -> list[str]:
        calls = self._ask(["calls_until", call])
        assert isinstance(calls, list)
        return [str(each) for each in calls]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=_EXIT_SEC)

    def _ask(self, order: list[object]) -> object:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._process.send_signal(signal.SIGCONT)
        return self._answer()

    def _answer(self) -> object:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the sleeping member has ended"
        answer: object = json.loads(line)
        return answer


def main(settings: str) -> None:
    from processor.transport.kafka import KafkaTransport

    bootstrap_servers, topic_prefix, group_protocol, group, topic, session_timeout_sec = json.loads(settings)
    transport = KafkaTransport(
        bootstrap_servers=bootstrap_servers,
        topic_prefix=topic_prefix,
        group_protocol=group_protocol,
        session_timeout_sec=session_timeout_sec,
    )
    member = Member(transport, group, [topic])
    until(lambda: bool(member.received), member)
    _say("asleep")
    for line in sys.stdin:
        _say(_obey(member, json.loads(line)))
    os._exit(0)


def _obey(member: Member, order: list[object]) -> object:
    match order:
        case ["commit", str(topic), int(partition), int(offset), str(metadata)]:
            return member.commit(TopicPartition(topic, partition), offset, metadata).value
        case ["calls_until", str(call)]:
            seen = len(member.calls())
            until(lambda: call in member.calls()[seen:], member)
            return member.calls()
    raise ValueError(order)


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
