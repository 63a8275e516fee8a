"""Object storage: how soon an upload is in its handler's hands (VersityGW, over Kafka), and how fast a queue is emptied
(ministack's SQS, onto an embedded log).

`python -m processor.ops.bench.storage [--objects N] [--messages N]`
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from processor.core.clock import SystemClock
from processor.core.errors import HeadraceError
from processor.core.function import Function, FunctionVersion
from processor.core.topics import TOPICS
from processor.dispatcher.accept import Acceptor
from processor.dispatcher.bulk import BulkAppender
from processor.ops.bench.figures import Figure, keep, percentile, table
from processor.ops.bench.site import broker, on_kafka
from processor.ops.object_stores import KEYS, client, ministack, running, versitygw
from processor.transport.embedded import EmbeddedTransport
from triggers.abstract import Binding
from triggers.intake import Intake
from triggers.sqs import SqsTriggers
from triggers.sqs.queue import POLLERS

ROLES = ("recorder", "dispatcher", "executor", "gateway", "triggers")
RESULTS = Path(".bench/latest.json")
BUCKET = "photos"
WARM_OBJECTS = 20
OBJECT_EVERY_SEC = 0.05
CALL_SEC = 30.0
LIMIT_SEC = 120.0
MANIFEST = """
version: 1
functions:
  bench-objects:
    handler: objects:arrived
    code: {code}
    concurrency: 64
    rate: 1000000/s
    env: {{ARRIVALS: "{arrivals}"}}
    events:
      - storage: {{bucket: photos, event_format: data, source: {{kafka: {{topic: {topic}, start: earliest}}}}}}
"""


class ObjectsMissing(HeadraceError):
    """Not every object has reached its handler."""


def storage(objects: int, messages: int) -> list[Figure]:
    return upload(objects) + sqs(messages)


# --- from the answer to a PUT to the handler's first line


def upload(objects: int) -> list[Figure]:
    with broker() as brokers, on_kafka(brokers, ROLES) as site, contextlib.ExitStack() as stack:
        topic = f"{site.environment['HEADRACE_KAFKA__TOPIC_PREFIX']}s3"
        _create_topic(brokers, topic)
        server = stack.enter_context(running(versitygw(site.folder / "store", brokers=brokers, topic=topic)))
        s3 = stack.enter_context(contextlib.closing(client("s3", server.url)))
        s3.create_bucket(Bucket=BUCKET)
        arrivals, manifest = site.folder / "arrivals", site.folder / "functions.yaml"
        code = Path(__file__).parent / "functions"
        manifest.write_text(MANIFEST.format(code=code, arrivals=arrivals, topic=topic))
        site.command("deploy", "--functions", str(manifest))
        _put_steadily(s3, arrivals, "warm", WARM_OBJECTS)
        delays = [each * 1000 for each in _put_steadily(s3, arrivals, "object", objects)]
    name = "S3 PUT answered to first line at 20/s, VersityGW over Kafka"
    return [
        Figure(name=f"{name}, p50", value=percentile(delays, 0.5), unit="ms", target=None, better="lower"),
        Figure(name=f"{name}, p95", value=percentile(delays, 0.95), unit="ms", target=100, better="lower"),
    ]


def _put_steadily(s3: Any, arrivals: Path, name: str, count: int) -> list[float]:
    """Returns the seconds from each answer to its handler's first line."""
    answered: dict[str, float] = {}
    for number in range(count):
        s3.put_object(Bucket=BUCKET, Key=f"{name}-{number}", Body=b"x" * 4_096)
        answered[f"{name}-{number}"] = time.time()
        time.sleep(OBJECT_EVERY_SEC)
    arrived = _wait_for(arrivals, set(answered))
    return [arrived[key] - at for key, at in answered.items()]


def _wait_for(arrivals: Path, keys: set[str]) -> dict[str, float]:
    deadline = time.monotonic() + LIMIT_SEC
    while missing := keys - _arrived(arrivals).keys():
        if time.monotonic() > deadline:
            raise ObjectsMissing(f"{len(missing)} of {len(keys)} objects are missing after {LIMIT_SEC:g} s")
        time.sleep(0.1)
    return _arrived(arrivals)


def _arrived(arrivals: Path) -> dict[str, float]:
    lines = arrivals.read_text().splitlines() if arrivals.exists() else []
    return {key: float(at) for at, _, key in (line.partition(" ") for line in lines)}


def _create_topic(brokers: str, topic: str) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": brokers})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(CALL_SEC)


# --- messages of a queue per second


def sqs(messages: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name, running(ministack(Path(name))) as server:
        with _queue(server.url, "bare", messages) as (queue, url):
            bare = messages / _drain_bare(queue, url, messages)
        with _queue(server.url, "measured", messages) as (_, url):
            rate = messages / asyncio.run(_drain(Path(name), server.url, url, messages))
    return [
        Figure(name="SQS to intake, embedded", value=rate, unit="messages/s", target=1_000, better="higher"),
        Figure(
            name="the same queue, received and deleted and nothing else",
            value=bare,
            unit="messages/s",
            target=None,
            better="higher",
        ),
    ]


@contextlib.contextmanager
def _queue(server: str, name: str, messages: int) -> Iterator[tuple[Any, str]]:
    with contextlib.closing(client("sqs", server)) as queue:
        url = queue.create_queue(QueueName=name)["QueueUrl"]
        for start in range(0, messages, 10):
            entries = [
                {"Id": str(number), "MessageBody": _notification(number)}
                for number in range(start, min(start + 10, messages))
            ]
            queue.send_message_batch(QueueUrl=url, Entries=entries)
        yield queue, url


def _notification(number: int) -> str:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:EXAMPLE"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"x-amz-request-id": f"{number:016X}", "x-amz-id-2": "x" * 76},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "bench",
            "bucket": {"name": BUCKET, "ownerIdentity": {"principalId": "A"}, "arn": f"arn:aws:s3:::{BUCKET}"},
            "object": {"key": f"in/{number}.png", "size": 1, "eTag": f"{number:032x}", "sequencer": f"{number:018X}"},
        },
    }
    return orjson.dumps({"Records": [record]}).decode()


def _drain_bare(queue: Any, url: str, messages: int) -> float:
    """Seconds; with as many threads as the adapter has."""
    began = time.perf_counter()
    with ThreadPoolExecutor(POLLERS) as threads:
        taken = sum(threads.map(lambda _: _take_until_empty(queue, url), range(POLLERS)))
    if taken < messages:
        raise ObjectsMissing(f"{taken} of {messages} messages came")
    return time.perf_counter() - began


def _take_until_empty(queue: Any, url: str) -> int:
    taken = 0
    while found := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(found)]
        queue.delete_message_batch(QueueUrl=url, Entries=entries)
        taken += len(found)
    return taken


async def _drain(folder: Path, server: str, url: str, messages: int) -> float:
    """Seconds until every message's event is durable."""
    function = Function(
        name="bench",
        current=FunctionVersion(version="v", handler="m:f", code_digest="0" * 64),
        rate_per_sec=1_000_000,
    )
    keys = {"access_key_env": "AWS_ACCESS_KEY_ID", "secret_key_env": "AWS_SECRET_ACCESS_KEY"}
    queue = {"queue_url": url, "endpoint_url": server, **keys}
    binding = Binding(
        function="bench", creation=1, kind="storage", settings={"bucket": BUCKET, "source": {"sqs": queue}}
    )
    with EmbeddedTransport(folder / "log") as transport:
        transport.admin().create_topics(TOPICS, CALL_SEC)
        appender, clock = transport.appender(), SystemClock()
        await appender.start()
        bulk = BulkAppender(transport.producer)
        acceptor = Acceptor(functions={"bench": function}.get, appender=appender, clock=clock, bulk=bulk)
        shared = SqsTriggers(intake=Intake(acceptor, appender), clock=clock, environment=KEYS, wait_sec=1)
        trigger = shared.make(binding)
        began = time.perf_counter()
        task = asyncio.create_task(trigger.run())
        try:
            async with asyncio.timeout(LIMIT_SEC):
                while trigger.health.accepted < messages:  # noqa: ASYNC110  # an adapter tells nobody: it is asked
                    await asyncio.sleep(0.01)
            return time.perf_counter() - began
        finally:
            task.cancel()
            await asyncio.wait({task})
            await bulk.stop()
            await appender.stop()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--messages", type=int, default=5_000)
    options = parser.parse_args(arguments)
    figures = storage(options.objects, options.messages)
    keep(figures, RESULTS)
    print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
