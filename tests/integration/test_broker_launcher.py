from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # public, but its module forgets to export it by name
from confluent_kafka.cimpl import NewTopic

from deploy.kafka.broker import LocalKafka, is_free, settings
from deploy.kafka.errors import PortInUse, Unavailable, WrongData
from deploy.kafka.java import Java, Libraries, find_java
from deploy.kafka.process import TiedProcess
from tests.broker import unavailable

LIMIT_SEC = 30.0
ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "deploy" / "kafka" / "broker.py"

needs_jvm = pytest.mark.kafka


@pytest.fixture(scope="session")
def java() -> None:
    """Java and jars are here, else the test is skipped (in CI: failed)."""
    try:
        Java().command("any")
    except Unavailable as why:
        unavailable(why)


@pytest.fixture
def kafka(java: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalKafka]:
    """One node, or as many as the test asks for as an indirect parameter."""
    kafka = LocalKafka(data_dir=tmp_path / "kafka", nodes=getattr(request, "param", 1))
    try:
        kafka.start()
        kafka.wait_ready()
        yield kafka
    finally:
        kafka.kill()


@pytest.fixture
def launcher(java: None, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(LAUNCHER), "run", "--port", "0", "--data", str(tmp_path / "kafka")],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def create(servers: str, topic: str, copies: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, 1, copies)])[topic].result(LIMIT_SEC)


def produce(servers: str, topic: str, value: bytes) -> None:
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": servers, "message.max.bytes": 2_097_152})
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(LIMIT_SEC) == 0
    assert failures == [None]


def consume_first(servers: str, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": topic, "auto.offset.reset": "earliest"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message: Message | None = consumer.poll(LIMIT_SEC)
    finally:
        consumer.close()
    assert message is not None
    assert message.error() is None
    return message.value()


def await_end(pidfd: int) -> None:
    ended, _, _ = select.select([pidfd], [], [], LIMIT_SEC)
    assert ended, "the process is still there"


def pid_and_servers(launcher: subprocess.Popen[str]) -> tuple[int, str]:
    """Reads `node 1 127.0.0.1:9092 pid 4711 log ...` and `ready kafka 127.0.0.1:9092`."""
    assert launcher.stdout is not None
    node, ready = launcher.stdout.readline().split(), launcher.stdout.readline().split()
    assert ready[:2] == ["ready", "kafka"]
    return int(node[4]), ready[2]


@needs_jvm
def test_a_record_survives_sigkill_of_its_node(kafka: LocalKafka) -> None:
    value = b"x" * 2_000_000
    create(kafka.bootstrap_servers, "kept")
    produce(kafka.bootstrap_servers, "kept", value)
    assert consume_first(kafka.bootstrap_servers, "kept") == value
    node = kafka.node(1)
    node.kill()
    assert not node.running
    node.start()
    node.wait_ready()
    assert consume_first(kafka.bootstrap_servers, "kept") == value


@needs_jvm
@pytest.mark.slow
@pytest.mark.parametrize("kafka", [3], indirect=True)
def test_three_nodes_take_records_while_any_one_is_dead(kafka: LocalKafka) -> None:
    create(kafka.bootstrap_servers, "kept", copies=3)
    for node in kafka.nodes:
        node.kill()
        produce(kafka.bootstrap_servers, "kept", b"x")
        node.restart()
    assert consume_first(kafka.bootstrap_servers, "kept") == b"x"


@needs_jvm
def test_the_broker_knows_and_uses_every_setting_of_the_template(kafka: LocalKafka) -> None:
    broker = ConfigResource(ConfigResource.Type.BROKER, "1")
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    used = admin.describe_configs([broker])[broker].result(LIMIT_SEC)
    wanted = dict(kafka.node(1).config)
    assert {key: used[key].value if key in used else "unknown" for key in wanted} == wanted


@needs_jvm
def test_a_paused_node_stops_when_asked(kafka: LocalKafka) -> None:
    node = kafka.node(1)
    node.pause()
    node.stop()
    assert node.join(LIMIT_SEC)


@needs_jvm
def test_a_sigkilled_launcher_leaves_no_jvm_behind(launcher: subprocess.Popen[str]) -> None:
    pid, _ = pid_and_servers(launcher)
    pidfd = os.pidfd_open(pid)
    try:
        launcher.kill()
        await_end(pidfd)
    finally:
        os.close(pidfd)


@needs_jvm
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_launcher_asked_to_stop_ends_its_jvm_first_and_succeeds(
    launcher: subprocess.Popen[str], signum: signal.Signals
) -> None:
    pid, servers = pid_and_servers(launcher)
    pidfd = os.pidfd_open(pid)
    try:
        launcher.send_signal(signum)
        assert launcher.wait(LIMIT_SEC) == 0
        await_end(pidfd)
    finally:
        os.close(pidfd)
    assert is_free(int(servers.rpartition(":")[2]))


def test_a_process_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "up")
    command = [sys.executable, "-c", "import signal; open('up', 'w').close(); signal.pause()"]
    made: list[TiedProcess] = []

    def ask() -> None:
        made.append(TiedProcess(command, cwd=tmp_path, output=tmp_path / "log"))
        (tmp_path / "up").read_bytes()  # from here on the process is tied

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(LIMIT_SEC)
    while Path(f"/proc/self/task/{thread.native_id}").exists():  # the kernel's thread ends after Python's
        os.sched_yield()
    made[0].popen.terminate()
    assert made[0].popen.wait(LIMIT_SEC) == -signal.SIGTERM, "killed by the end of the thread"


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortInUse, match=str(port)):
            LocalKafka(data_dir=tmp_path, port=port)


def test_data_of_one_node_is_not_started_as_three(tmp_path: Path) -> None:
    LocalKafka(data_dir=tmp_path, nodes=1)
    with pytest.raises(WrongData):
        LocalKafka(data_dir=tmp_path, nodes=3)


@pytest.mark.parametrize("nodes", [1, 3])
def test_settings_keep_what_the_claim_protocol_needs(nodes: int) -> None:
    names = {"node_id": 1, "voters": "v", "port": 1, "controller_port": 2, "log_dir": "d"}
    config = settings(nodes=nodes, **names)
    assert int(config["offsets.retention.minutes"]) >= 90 * 24 * 60
    assert int(config["group.consumer.min.session.timeout.ms"]) <= 6_000
    assert int(config["group.consumer.session.timeout.ms"]) == 6_000
    assert int(config["group.consumer.heartbeat.interval.ms"]) <= 1_000
    assert int(config["message.max.bytes"]) >= 2_097_152 + 65_536
    assert config["auto.create.topics.enable"] == "false"
    assert int(config["min.insync.replicas"]) == (nodes + 1) // 2
    assert int(config["offsets.topic.replication.factor"]) == nodes


def test_jars_that_are_there_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = Libraries(tmp_path)
    libraries.folder.mkdir(parents=True)
    monkeypatch.setenv("PATH", "")  # no mvn to be found
    assert libraries.fetch() == libraries.folder


def test_missing_maven_is_said_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="Install Maven"):
        Libraries(tmp_path).fetch()


def test_missing_java_is_said_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="Java 17"):
        find_java()
