"""Each process killed at each failpoint, between any two of its steps, on both transports: nothing is lost, nothing
starts twice, everything gets one verdict. `processor/core/failpoints.py` is the table of all of them.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from processor.core.failpoints import FAILPOINTS
from processor.ops.object_stores import LOOPBACK
from tests.acceptance.failpoint_cases import Case, Drive, embedded_cases, kafka_cases
from tests.acceptance.failpoint_drives import DRIVERS, Messages
from tests.acceptance.failpoint_load import Feeder, Load
from tests.acceptance.failpoint_rig import (
    EmbeddedInstallation,
    Installation,
    KafkaInstallation,
    check,
    settle,
)
from tests.integration.storage_rig import Source

#: The gaps in which most systems of this kind lose or repeat something: part of each `make test`.
QUICK = {
    "embedded": ("dispatch.flush.after", "claims.commit.after"),
    "kafka": ("instance.result",),
}
BESIDE_PER_SEC = 5.0
_NAMES = (f"f{number}" for number in itertools.count(1))


def cases(transport: str, found: Iterable[Case]) -> list[Any]:
    quick = QUICK[transport]
    return [
        pytest.param(
            each,
            id=f"{each.role}-{each.id}",
            marks=() if each.name in quick and each.passage == 1 else pytest.mark.slow,
        )
        for each in found
    ]


@pytest.fixture(scope="module")
def queues() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def source(request: pytest.FixtureRequest) -> Iterator[None]:
    """Only for who takes messages from a queue."""
    if request.node.callspec.params["case"].drive is not Drive.MESSAGES:
        yield
        return
    with closing(Source(request.getfixturevalue("queues"))) as Messages.source:
        yield


@pytest.fixture(scope="module")
def kafka_site(
    kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], KafkaInstallation]]:
    """The installation of the last case, or, since that one failed, another one."""
    living: list[KafkaInstallation] = []

    def sound() -> KafkaInstallation:
        if not living or living[-1].broken:
            living.append(_fresh(tmp_path_factory.mktemp("kafka"), kafka_bootstrap))
        return living[-1]

    try:
        yield sound
    finally:
        for each in living:
            each.kill_all()


def _fresh(folder: Path, bootstrap: str) -> KafkaInstallation:
    site = KafkaInstallation(folder, bootstrap, f"t{uuid.uuid4().hex[:12]}.")
    try:
        site.start_all()
    except BaseException:
        site.kill_all()
        raise
    return site


def kill_there(site: Installation, case: Case) -> None:
    """A process is made to kill itself there and started again, as a service manager would; all comes to its end."""
    name = next(_NAMES)
    drive = DRIVERS[case.drive](site, case, name)
    if drive.member in site.roles:
        site.stop(drive.member)
    drive.prepare()
    load = Load(site, name, function=drive.function, sec=drive.sec)
    beside = Feeder(lambda number: drive.beside(number, load), per_sec=BESIDE_PER_SEC)
    load.start()
    beside.start()
    try:
        site.start(drive.member, case.armed)
        drive.armed(load)
        site.await_death(drive.member, case)
        site.start(drive.member)
        drive.finish(load)
    finally:
        beside.stop()
        load.stop()
    drive.quiet()
    settle(site, load.runs | drive.runs)
    site.close_for_audit()
    check(site)
    drive.check()


@pytest.mark.timeout(150)
@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("case", cases("embedded", embedded_cases()))
def test_killed_at_a_failpoint_the_embedded_system_keeps_every_promise(case: Case, tmp_path: Path) -> None:
    site = EmbeddedInstallation(tmp_path)
    try:
        kill_there(site, case)
    finally:
        site.kill_all()


@pytest.mark.timeout(150)
@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("case", cases("kafka", kafka_cases()))
def test_killed_at_a_failpoint_a_role_on_kafka_keeps_every_promise(
    case: Case, kafka_site: Callable[[], KafkaInstallation]
) -> None:
    site = kafka_site()
    site.broken = True
    kill_there(site, case)
    site.broken = False


def test_every_failpoint_is_reached_on_each_transport_that_has_it() -> None:
    only_on_kafka = {each for each in FAILPOINTS if each.startswith("kafka.")}
    only_embedded = {each for each in FAILPOINTS if each.startswith("embedded.")}
    assert {each.name for each in embedded_cases()} == FAILPOINTS.keys() - only_on_kafka
    assert {each.name for each in kafka_cases()} == FAILPOINTS.keys() - only_embedded
