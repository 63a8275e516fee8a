"""What tests of more than one folder share. tests/broker.py says where the Kafka comes from."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.broker import LocalKafka
from deploy.kafka.errors import Unavailable
from tests.broker_desk import BrokerDesk, PostgresDesk, ask
from tests.disk import SmallDisk
from tests.disk import small_disk as mounted

_DESK = pytest.StashKey[BrokerDesk]()
_DESK_ADDRESS = "headrace_broker_desk"
_POSTGRES_DESK = pytest.StashKey[PostgresDesk]()
_POSTGRES_DESK_ADDRESS = "headrace_postgres_desk"
#: The fixtures that need one.
_BROKERS = frozenset({"kafka_bootstrap", "kafka"})


@pytest.hookimpl(tryfirst=True)  # before -m "kafka" is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _BROKERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")


def pytest_configure(config: pytest.Config) -> None:
    """No example has a time limit of its own: on a loaded machine one of 200 ms says nothing of the code."""
    from hypothesis import settings  # what pytest's plugin of it has not imported yet

    if not config.getoption("--hypothesis-profile", None):
        settings.register_profile("patient", settings(), deadline=None)
        settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_configure_node(node: Any) -> None:
    """A worker is told where to ask for the broker, and for the database."""
    if _DESK not in node.config.stash:
        node.config.stash[_DESK] = BrokerDesk()
        node.config.stash[_POSTGRES_DESK] = PostgresDesk()
    node.workerinput[_DESK_ADDRESS] = node.config.stash[_DESK].address
    node.workerinput[_POSTGRES_DESK_ADDRESS] = node.config.stash[_POSTGRES_DESK].address


def pytest_unconfigure(config: pytest.Config) -> None:
    if _DESK in config.stash:
        config.stash[_DESK].close()
        config.stash[_POSTGRES_DESK].close()


_BROKER_STARTED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the time limit is read
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The first test of this process with a broker pays for its start. Which one that is, is known only now."""
    if item.get_closest_marker("kafka") and not item.config.stash.get(_BROKER_STARTED, False):
        from tests.broker import FIRST_TEST_LIMIT_SEC  # as below

        item.config.stash[_BROKER_STARTED] = True
        item.add_marker(pytest.mark.timeout(FIRST_TEST_LIMIT_SEC), append=False)
    return (yield)


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a warm broker, one for the whole session and all its workers: use `topic_prefix` for every
    name.
    """
    from tests.broker import any_kafka, unavailable  # unit tests need neither the Kafka clients nor Docker's

    desk: str | None = getattr(request.config, "workerinput", {}).get(_DESK_ADDRESS)
    with contextlib.ExitStack() as stack:
        try:
            servers = ask(desk) if desk else stack.enter_context(any_kafka(tmp_path_factory.mktemp("kafka")))
        except Unavailable as why:
            unavailable(why)
        yield servers


@pytest.fixture(scope="module")
def kafka_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """Warm, and for the tests of one module alone: they may kill it. Use `kafka`."""
    from tests.broker import local, unavailable

    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(local(tmp_path_factory.mktemp("kafka")))
        except Unavailable as why:
            unavailable(why)
        yield cluster


@pytest.fixture
def kafka(kafka_of_module: LocalKafka) -> LocalKafka:
    """It runs, whatever the last test did to it."""
    kafka_of_module.node(1).start()
    kafka_of_module.wait_ready()
    return kafka_of_module


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a PostgreSQL, one for the whole session and all its workers: use `postgres`."""
    from tests.postgres import any_postgres, unavailable  # as above

    desk: str | None = getattr(request.config, "workerinput", {}).get(_POSTGRES_DESK_ADDRESS)
    with contextlib.ExitStack() as stack:
        try:
            url = ask(desk) if desk else stack.enter_context(any_postgres())
        except Unavailable as why:
            unavailable(why)
        yield url


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """Address of a PostgreSQL, with a schema in it that no other test uses."""
    from tests.postgres import own_schema  # as above

    with own_schema(postgres_server) as url:
        yield url


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Of 8 MiB."""
    with mounted(tmp_path / "disk", mib=8) as disk:
        yield disk


@pytest.fixture
def topic_prefix() -> str:
    """No two tests share a topic, a group or a transactional id."""
    return f"t{uuid.uuid4().hex[:12]}."
