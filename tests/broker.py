"""Which Kafka the tests use: the one given, else a container, else JVMs of our own; and what happens without any."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from testcontainers.core.container import DockerContainer

from deploy.kafka.broker import LOOPBACK, LocalKafka, free_ports, settings
from deploy.kafka.errors import Unavailable
from deploy.kafka.java import Libraries

GIVEN = "HEADRACE_TEST_KAFKA"
PING_LIMIT_SEC = 3.0
ANSWER_LIMIT_SEC = 60.0
#: What the first test with a broker may take more than others: it pays for jars or image, start and warm-up.
FIRST_TEST_LIMIT_SEC = 300


def unavailable(why: Unavailable) -> NoReturn:
    """CI must not pass by skipping; a contributor without Java may still run the rest."""
    text = f"no Kafka for this test: {why}\nOr name a running one: {GIVEN}=127.0.0.1:9092"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@contextlib.contextmanager
def any_kafka(data_dir: Path) -> Iterator[str]:
    """Yields the bootstrap servers of a warm broker; raises Unavailable when there is no way to one."""
    given = os.environ.get(GIVEN)
    if given:
        warm(given)
        yield given
    elif docker_answers():
        with containered() as servers:
            warm(servers)
            yield servers
    else:
        with local(data_dir) as kafka:
            yield kafka.bootstrap_servers


def docker_answers() -> bool:
    """Asked by the command line: the Python client leaks its socket when there is no daemon."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(["docker", "version"], capture_output=True, timeout=PING_LIMIT_SEC).returncode == 0
    return False


@contextlib.contextmanager
def local(data_dir: Path) -> Iterator[LocalKafka]:
    """A warm broker that its user may pause, kill and start again; raises Unavailable."""
    kafka = LocalKafka(data_dir=data_dir)
    try:
        kafka.start()
        kafka.wait_ready()
        warm(kafka.bootstrap_servers)
        yield kafka
    finally:
        kafka.kill()
        shutil.rmtree(data_dir, ignore_errors=True)  # nobody needs it, and it is large


@contextlib.contextmanager
def containered() -> Iterator[str]:
    (port,) = free_ports(1)
    servers = f"{LOOPBACK}:{port}"
    names = {"node_id": 1, "voters": "1@127.0.0.1:9093", "port": port, "controller_port": 9093, "log_dir": "/tmp/kafka"}
    config = settings(nodes=1, **names)
    # The same port inside and outside: the broker must reach itself by the address that it tells its clients.
    config["listeners"] = f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:9093"
    container = DockerContainer(f"apache/kafka:{Libraries().version}")
    for key, value in config.items():
        container.with_env("KAFKA_" + key.upper().replace(".", "_"), value)
    ports: dict[str, Any] = container.ports  # with_bind_ports would publish to the whole network
    ports[f"{port}/tcp"] = (LOOPBACK, port)
    with container:
        yield servers


def warm(servers: str) -> None:
    """Waits for an answer and makes the broker create __consumer_offsets, which costs its first user a second."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    _await_answer(admin)
    topic = f"warm-{uuid.uuid4().hex}"
    admin.create_topics([NewTopic(topic, 1)])[topic].result(ANSWER_LIMIT_SEC)
    consumer = Consumer({"bootstrap.servers": servers, "group.id": topic})
    try:
        consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    finally:
        consumer.close()
        admin.delete_topics([topic])[topic].result(ANSWER_LIMIT_SEC)


def _await_answer(admin: AdminClient) -> None:
    deadline = time.monotonic() + ANSWER_LIMIT_SEC
    while True:
        try:
            admin.list_topics(timeout=1.0)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        else:
            return
