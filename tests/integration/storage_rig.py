"""A storage trigger on real S3 and SQS servers; only the intake log behind it is replaced, unless a test brings one."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson

from processor.core.clock import SystemClock
from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.function import Function, FunctionVersion
from processor.core.rejected import Rejection, rejection_of
from processor.core.topics import REJECTED
from processor.dispatcher.accept import Acceptor
from processor.dispatcher.bulk import BulkAppender
from processor.ops.object_stores import KEYS, client
from processor.transport.abstract import Appended, Appender, AppendFailed, Headers, Outcome, Producer
from triggers.abstract import Binding, Health, Trigger, TriggerState
from triggers.intake import Intake
from triggers.sqs import SqsTriggers

LIMIT_SEC = 30.0
FUNCTION = Function(
    name="f",
    current=FunctionVersion(version="v", handler="m:f", code_digest="0" * 64),
    rate_per_sec=100_000.0,
)
_NUMBERS = itertools.count()


class IntakeLog(Appender, Producer):
    """Keeps what is durable. While `away`, appends are UNKNOWN and lost. A flush with one of the subjects that are
    `held` waits; of what it holds, nobody knows whether it is durable.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rejections: list[Rejection] = []
        self.away = False
        self.held: set[str] = set()
        self.tried = threading.Event()
        self.let_go = threading.Event()
        self._pending: list[Event] = []

    def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Any:
        if topic == REJECTED.name:
            return self._reject(value, headers)
        event = decode_structured(value or b"")
        assert isinstance(event, Event)
        self._pending.append(event)
        return None

    async def _reject(self, value: bytes | None, headers: Headers) -> Appended:
        if self.away:
            return Appended(outcome=Outcome.UNKNOWN, reason="the broker is away")
        self.rejections.append(rejection_of(value, headers))
        return Appended(outcome=Outcome.YES, partition=0, offset=0)

    def landed(self, timeout_sec: float) -> bool:
        self.flush(timeout_sec)
        return True

    def flush(self, timeout_sec: float) -> None:
        pending, self._pending = self._pending, []
        self.tried.set()
        if self.away:
            raise AppendFailed(Outcome.UNKNOWN, "the broker is away")
        if self.held & {each.subject for each in pending} and not self.let_go.wait(LIMIT_SEC):
            raise AppendFailed(Outcome.UNKNOWN, "nobody let go")
        self.events += pending

    def poll(self) -> None: ...

    def close(self) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def subjects(self) -> list[str]:
        return [each.subject or "" for each in self.events]

    @property
    def identities(self) -> set[str]:
        return {each.id for each in self.events}


class Source:
    """A bucket whose changes go to a queue."""

    def __init__(self, url: str, key_encoding: str = "none") -> None:
        """key_encoding: S3 writes keys as forms do, and so does moto; ministack writes them as they are."""
        self.key_encoding = key_encoding
        number = next(_NUMBERS)
        self.url = url
        self.s3, self.sqs = client("s3", url), client("sqs", url)
        self.bucket = f"pics-{number}"
        self.queue_name = f"queue-{number}"
        self.queue_url = ""

    def create(self, *events: str, **attributes: str) -> Source:
        self.create_queue(**attributes)
        self.s3.create_bucket(Bucket=self.bucket)
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["QueueArn"])
        where = {"QueueArn": found["Attributes"]["QueueArn"], "Events": list(events or ("s3:ObjectCreated:*",))}
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"QueueConfigurations": [where]}
        )
        return self

    def create_queue(self, **attributes: str) -> None:
        self.queue_url = self.sqs.create_queue(QueueName=self.queue_name, Attributes=attributes)["QueueUrl"]

    def delete_queue(self) -> None:
        self.sqs.delete_queue(QueueUrl=self.queue_url)

    def put(self, *keys: str, body: bytes = b"hello") -> None:
        for key in keys:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def send(self, *bodies: Any) -> None:
        for body in bodies:
            text = body if isinstance(body, str) else orjson.dumps(body).decode()
            self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=text)

    def records(self, *keys: str) -> dict[str, Any]:
        return {"Records": [record(self.bucket, key) for key in keys]}

    def counts(self) -> tuple[int, int]:
        """Messages that wait, and messages that somebody has taken."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def take(self, count: int = 10) -> list[str]:
        found = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=count)
        return [each["Body"] for each in found.get("Messages", ())]

    def close(self) -> None:
        self.s3.close()
        self.sqs.close()

    def settings(self, *, pollers: int = 2, events: tuple[str, ...] = ("*",), **more: Any) -> dict[str, Any]:
        queue = {
            "queue_url": self.queue_url or f"{self.url}/000000000000/{self.queue_name}",
            "endpoint_url": self.url,
            "access_key_env": "AWS_ACCESS_KEY_ID",
            "secret_key_env": "AWS_SECRET_ACCESS_KEY",
            "pollers": pollers,
        }
        common = {"bucket": self.bucket, "events": list(events), "key_encoding": self.key_encoding}
        return {**common, "source": {"sqs": queue}, **more}


def record(bucket: str, key: str) -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "responseElements": {"x-amz-request-id": "R"},
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 5, "eTag": "e", "sequencer": "1"}},
    }


class Rig:
    def __init__(self, source: Source, function: Function | None = FUNCTION) -> None:
        self.source = source
        self.log = IntakeLog()
        self.function = function
        self._bulk = BulkAppender(lambda: self.log)

    def intake(self) -> Intake:
        acceptor = Acceptor(functions=lambda _: self.function, appender=self.log, clock=SystemClock(), bulk=self._bulk)
        return Intake(acceptor, self.log)

    @asynccontextmanager
    async def running(self, **settings: Any) -> AsyncIterator[Trigger]:
        shared = SqsTriggers(
            intake=self.intake(), clock=SystemClock(), environment=KEYS, first_pause_sec=0.05, wait_sec=1
        )
        binding = Binding(function="f", creation=1, kind="storage", settings=self.source.settings(**settings))
        try:
            async with running(shared.make(binding)) as trigger:
                yield trigger
        finally:
            self.log.let_go.set()
            await self._bulk.stop()

    async def until_drained(self) -> None:
        """Nothing waits, and nothing is taken that has not been deleted."""
        await until(lambda: asyncio.to_thread(self.source.counts), lambda counts: counts == (0, 0))


@asynccontextmanager
async def running(trigger: Trigger) -> AsyncIterator[Trigger]:
    task = asyncio.create_task(trigger.run())
    try:
        yield trigger
        assert not task.done(), f"the adapter ended by itself: {task}"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(look: Callable[[], Awaitable[Any] | Any], wanted: Callable[[Any], bool] = bool) -> Any:
    """For what tells nobody that it has happened."""
    async with asyncio.timeout(LIMIT_SEC):
        while True:
            found = look()
            found = await found if isinstance(found, Awaitable) else found
            if wanted(found):
                return found
            await asyncio.sleep(0.02)


async def until_state(trigger: Trigger, state: TriggerState) -> Health:
    await until(lambda: trigger.health.state, lambda found: found is state)
    return trigger.health


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())
