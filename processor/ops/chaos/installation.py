"""A whole system in a folder of its own, on free loopback ports."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import string
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from processor.core.errors import HeadraceError
from processor.core.topics import TOPICS
from processor.ops.brokers import Brokers
from processor.ops.chaos.disk import ChaosDisk
from processor.ops.chaos.host import Host, Member
from processor.ops.chaos.plan import EXECUTORS, ROLES, SERVER, Options
from processor.ops.chaos.proxy import LOOPBACK, Proxies
from processor.ops.chaos.wall_clock import WallClock
from processor.ops.processes import headrace
from processor.transport.abstract import Transport

if TYPE_CHECKING:
    from deploy.kafka.broker import LocalKafka, Node

FUNCTIONS = Path(__file__).parent / "functions"
CALL_SEC = 60.0
SLOTS = 4


class NoBroker(HeadraceError):
    """There is no broker to try faults on."""

    remedy = "Run it in a checkout of the project with Java 17 or newer, or give one with --bootstrap-servers."


@dataclass(slots=True)
class Installation:
    options: Options
    folder: Path
    host: Host
    #: Of the gateway, the same over its restarts.
    port: int
    #: Two for each role and node: a listener of the node, and its proxy.
    role_ports: list[int]
    prefix: str = ""
    #: Past the proxies.
    bootstrap_servers: str = ""
    brokers: Brokers | None = None
    proxies: Proxies | None = None
    disk: ChaosDisk | None = None
    #: Of each role.
    clocks: dict[str, WallClock] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    #: The folder stays: logs and evidence are wanted.
    keep: bool = True

    @property
    def data(self) -> Path:
        return (self.disk.path if self.disk else self.folder) / "data"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def uploads(self) -> Path:
        return self.folder / "uploads"

    @property
    def history(self) -> Path:
        return self.data / "history.db"

    @property
    def manifest(self) -> Path:
        return self.folder / "functions.yaml"

    def transport(self) -> Transport:
        """Of the embedded log only after the process that has it was stopped."""
        if self.options.transport == "embedded":
            from processor.transport.embedded import EmbeddedTransport

            return EmbeddedTransport(self.data / "log")
        from processor.transport.kafka import KafkaTransport

        return KafkaTransport(bootstrap_servers=self.bootstrap_servers, topic_prefix=self.prefix)


@contextlib.contextmanager
def installed(options: Options, bootstrap_servers: str | None) -> Iterator[Installation]:
    """Up and deployed. Blocks until then; all of it is gone afterwards, but for the folder while `keep` is set."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="headrace-chaos-"))
        # All in one go, or one of them could be given out twice.
        port, *role_ports = _free_ports(1 + 2 * len(ROLES) * options.nodes)
        site = Installation(options=options, folder=folder, host=Host(folder), port=port, role_ports=role_ports)
        stack.callback(_tidy_up, site)
        stack.callback(site.host.kill_all)
        _prepare(site, stack)
        if options.transport == "embedded":
            _add_server(site)
            site.host.start_all()
        else:
            _start_on_kafka(site, bootstrap_servers, stack)
        yield site


def _tidy_up(site: Installation) -> None:
    if not site.keep:
        shutil.rmtree(site.folder, ignore_errors=True)


def _prepare(site: Installation, stack: ExitStack) -> None:
    if site.options.small_disk:
        site.disk = ChaosDisk(site.folder / "disk")
        stack.callback(site.disk.unmount)
        site.disk.mount()
    site.uploads.mkdir()
    site.journal.touch()
    template = string.Template((FUNCTIONS / "functions.yaml").read_text())
    site.manifest.write_text(template.substitute(code=FUNCTIONS, journal=site.journal, uploads=site.uploads))
    site.environment = {
        "HEADRACE_TRANSPORT": site.options.transport,
        "HEADRACE_DATA_DIR": str(site.data),
        "HEADRACE_HISTORY__URL": f"sqlite:///{site.history}",
        "HEADRACE_EXECUTOR__SLOTS": str(SLOTS),
        "HEADRACE_GATEWAY__PORT": str(site.port),
        "HEADRACE_TRIGGERS__PORT": "0",
        "HEADRACE_FOLDER__RESCAN_SEC": "10",
        "HEADRACE_LOG__LEVEL": "INFO",
        "HEADRACE_LOG__FORMAT": "json",
    }


def _add_server(site: Installation) -> None:
    arguments = ["serve", "--embedded", "--functions", str(site.manifest)]
    environment = {**site.environment, **_clock(site, SERVER)}
    site.host.add(Member(name=SERVER, arguments=arguments, ready="ready serve", environment=environment))


def _clock(site: Installation, name: str) -> Mapping[str, str]:
    site.clocks[name] = clock = WallClock(site.folder / f"{name}.clock")
    return clock.environment


def _start_on_kafka(site: Installation, bootstrap_servers: str | None, stack: ExitStack) -> None:
    site.prefix = f"chaos{time.time_ns():x}."
    site.environment["HEADRACE_KAFKA__TOPIC_PREFIX"] = site.prefix
    site.environment["HEADRACE_KAFKA__GROUP_PROTOCOL"] = site.options.group_protocol
    brokers = _brokers(site, bootstrap_servers, stack)
    with site.transport() as transport:
        transport.admin().create_topics(TOPICS, CALL_SEC)
    for name in ROLES:
        _add_role(site, name, brokers[name])
    site.host.start_all()
    environment = {**site.environment, "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": site.bootstrap_servers}
    headrace(["deploy", "--functions", str(site.manifest)], environment)


def _add_role(site: Installation, name: str, bootstrap_servers: str) -> None:
    role = name.partition("-")[0]
    environment = {**site.environment, "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers, **_clock(site, name)}
    if name in EXECUTORS:
        environment["HEADRACE_EXECUTOR__NAME"] = name
    site.host.add(Member(name=name, arguments=["start", role], ready=f"ready {role}", environment=environment))


def _brokers(site: Installation, given: str | None, stack: ExitStack) -> dict[str, str]:
    """The address for each role. Raises NoBroker."""
    if given is not None:
        site.bootstrap_servers = given
        return dict.fromkeys(ROLES, given)
    try:
        from deploy.kafka.broker import LocalKafka
        from deploy.kafka.errors import BrokerError
    except ImportError as error:
        raise NoBroker from error
    try:
        kafka = LocalKafka(data_dir=site.folder / "kafka", nodes=site.options.nodes)
        addresses = _behind_proxies(site, kafka, stack)
        _run(kafka, stack)
    except BrokerError as error:
        raise NoBroker(str(error)) from error
    return addresses


def _run(kafka: LocalKafka, stack: ExitStack) -> None:
    stack.callback(kafka.kill)
    kafka.start()
    kafka.wait_ready()


def _behind_proxies(site: Installation, kafka: LocalKafka, stack: ExitStack) -> dict[str, str]:
    """A listener of each node for each role, advertised at the port of a proxy: whoever asked there is sent back there,
    so one role can be cut off alone.
    """
    site.brokers, site.bootstrap_servers = Brokers(kafka), kafka.bootstrap_servers
    site.proxies = Proxies()
    stack.callback(site.proxies.close)
    ports = iter(site.role_ports)
    told: dict[str, list[str]] = {name: [] for name in ROLES}
    for node in kafka.nodes:
        for index, name in enumerate(ROLES):
            inner, outer = next(ports), next(ports)
            _add_listener(node, f"ROLE{index}", inner, outer)
            site.proxies.open(name, port=outer, upstream_port=inner)
            told[name].append(f"{LOOPBACK}:{outer}")
    return {name: ",".join(addresses) for name, addresses in told.items()}


def _add_listener(node: Node, listener: str, inner: int, outer: int) -> None:
    added = {
        "listeners": f"{listener}://{LOOPBACK}:{inner}",
        "advertised.listeners": f"{listener}://{LOOPBACK}:{outer}",
        "listener.security.protocol.map": f"{listener}:PLAINTEXT",
    }
    node.config = {**node.config, **{key: f"{node.config[key]},{value}" for key, value in added.items()}}


def _free_ports(count: int) -> list[int]:
    """Below the range of outgoing connections: one of those could take a killed process's port before its restart."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(20_000, 32_000), 500):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            found.append(port)
        if len(found) == count:
            return found
    raise NoBroker(f"no {count} free ports between 20000 and 32000")
