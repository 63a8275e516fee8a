"""TLS, logins and rights on a broker of our own, which can also be taken away: of Kafka triggers and of Headrace's own
transport.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.errors import Unavailable
from processor.transport.abstract import NotLetIn, Outcome
from processor.transport.kafka import KafkaTransport
from tests.broker import ANSWER_LIMIT_SEC, FIRST_TEST_LIMIT_SEC, unavailable
from tests.contract.harness import create, read, write
from tests.contract.member import Member, until
from tests.integration.guarded_broker import MECHANISMS, PASSWORD, USER, VARIABLE, Guarded
from tests.integration.kafka_source_rig import Rig, Source, run, until_state
from triggers.abstract import TriggerState

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(FIRST_TEST_LIMIT_SEC)]


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    monkeypatch.setattr("triggers.kafka.session.LOOK_SEC", 0.3)
    monkeypatch.setattr("triggers.kafka.adapter.RETRY_SEC", 0.1)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("kafka")
    try:
        with Guarded(folder).running() as made:
            yield made
    except Unavailable as why:
        unavailable(why)


@pytest.fixture
def source(guarded: Guarded, topic_prefix: str) -> Source:
    """With one record."""
    made = Source(guarded.kafka.bootstrap_servers, f"{topic_prefix}orders").create()
    made.send(b"1")
    return made


def allow(guarded: Guarded, source: Source, user: str = USER) -> None:
    for operation in ("DESCRIBE", "READ"):
        guarded.grant("TOPIC", source.topic, operation, user=user)
    guarded.grant("GROUP", source.topic, "READ", user=user)


def rig_of(source: Source, settings: dict[str, Any]) -> Rig:
    return Rig(source, group=source.topic, **settings)


def test_login_and_rights_are_asked_for_one_after_the_other(guarded: Guarded, source: Source) -> None:
    async def main() -> None:
        rig = rig_of(source, guarded.source())
        async with rig.running() as trigger:
            await rig.until(lambda: "to describe the topic" in trigger.health.reason)
            guarded.grant("TOPIC", source.topic, "DESCRIBE")
            await rig.until(lambda: f"consumer group {source.topic!r}" in trigger.health.reason)
            guarded.grant("GROUP", source.topic, "READ")
            await rig.until(lambda: "to read the topic" in trigger.health.reason)
            assert "Grant READ and DESCRIBE" in trigger.health.remedy
            assert trigger.health.state is TriggerState.WAITING
            guarded.grant("TOPIC", source.topic, "READ")
            await rig.until_events(1)
            await until_state(rig, trigger, TriggerState.WATCHING)

    run(main)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_told_and_the_right_one_counts_without_a_restart(
    guarded: Guarded, source: Source, mechanism: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        allow(guarded, source)
        rig = rig_of(source, guarded.source("SECURED", mechanism=mechanism))
        monkeypatch.setenv(VARIABLE, "wrong")
        async with rig.running() as trigger:
            await rig.until(lambda: "refuses the login" in trigger.health.reason)
            assert trigger.health.state is TriggerState.WAITING
            assert "password_env" in trigger.health.remedy
            monkeypatch.setenv(VARIABLE, PASSWORD)
            await rig.until_events(1)
            await until_state(rig, trigger, TriggerState.WATCHING)

    run(main)


def test_a_client_is_known_by_its_certificate(guarded: Guarded, source: Source) -> None:
    async def main() -> None:
        allow(guarded, source, "CN=client")
        rig = rig_of(source, guarded.source("MUTUAL", certificate_file=guarded.client_file))
        async with rig.running():
            await rig.until_events(1)
        rig = rig_of(source, guarded.source("MUTUAL"))
        async with rig.running() as trigger:
            await until_state(rig, trigger, TriggerState.WAITING)
            assert "security" in trigger.health.remedy

    run(main)


def test_a_broker_of_strangers_is_not_trusted_until_ca_file_is_corrected(
    guarded: Guarded, source: Source, tmp_path: Path
) -> None:
    async def main() -> None:
        allow(guarded, source)
        ca_file = tmp_path / "ca.pem"
        shutil.copy(guarded.stranger, ca_file)
        rig = rig_of(source, guarded.source("SECURED", ca_file=str(ca_file)))
        async with rig.running() as trigger:
            await rig.until(lambda: "is not trusted: self-signed certificate" in trigger.health.reason)
            assert trigger.health.state is TriggerState.WAITING
            assert "ca_file" in trigger.health.remedy
            shutil.copy(guarded.ca_file, ca_file)
            await rig.until_events(1)
            await until_state(rig, trigger, TriggerState.WATCHING)

    run(main)


@pytest.mark.parametrize(
    ("listener", "reason", "remedy"),
    [
        ("EXPIRED", "is not trusted: certificate has expired", "Renew the server's certificate"),
        ("ELSEWHERE", "certificate is not valid for '127.0.0.1'", "Write into bootstrap_servers"),
    ],
)
def test_a_bad_certificate_is_told_with_what_is_wrong_with_it(
    guarded: Guarded, source: Source, listener: str, reason: str, remedy: str
) -> None:
    async def main() -> None:
        rig = rig_of(source, guarded.source(listener))
        async with rig.running() as trigger:
            await rig.until(lambda: reason in trigger.health.reason)
            assert trigger.health.state is TriggerState.WAITING
            assert remedy in trigger.health.remedy

    run(main)


@pytest.mark.parametrize("mechanism", [each for each in MECHANISMS if each.startswith("SCRAM")])
def test_every_client_of_an_installation_speaks_tls_and_scram(
    guarded: Guarded, topic_prefix: str, mechanism: str
) -> None:
    security = guarded.librdkafka(sasl_mechanism=mechanism)
    servers = guarded.address("SECURED")
    with KafkaTransport(bootstrap_servers=servers, topic_prefix=topic_prefix, security=security) as transport:
        partitions = create(transport, "t")
        write(transport, partitions[0], [b"by a thread"])
        asyncio.run(_append_and_follow(transport))
        assert len(read(transport, partitions)) == 2
        with Member(transport, "g", ["t"]) as member:
            until(lambda: len(member.received) == 2, member)
            assert len(member.claim()) == 2


async def _append_and_follow(transport: KafkaTransport) -> None:
    appender, tail = transport.appender(), transport.tail()
    await appender.start()
    await tail.start(["t"], from_low=True)
    try:
        answer = await appender.append("t", b"by the loop", partition=0)
        assert answer.outcome is Outcome.YES
        found = list[bytes | None]()
        async with asyncio.timeout(ANSWER_LIMIT_SEC):
            while len(found) < 2:
                found += [each.value for each in await tail.poll(10, 0.5)]
    finally:
        await tail.stop()
        await appender.stop()
    assert found == [b"by a thread", b"by the loop"]


@pytest.mark.parametrize(
    ("listener", "wrong", "reason", "remedy"),
    [
        ("SECURED", {"sasl_password": "wrong"}, "refuses the login", "sasl.password"),
        ("SECURED", {"ssl_ca_location": "stranger"}, "is not trusted: self-signed certificate", "ssl.ca.location"),
        ("EXPIRED", {}, "is not trusted: certificate has expired", "Renew"),
        ("ELSEWHERE", {}, "not valid for '127.0.0.1'", "HEADRACE_KAFKA__BOOTSTRAP_SERVERS"),
    ],
)
def test_an_installation_that_is_not_let_in_is_told_why(
    guarded: Guarded, listener: str, wrong: dict[str, str], reason: str, remedy: str
) -> None:
    over = {name: value.replace("stranger", str(guarded.stranger)) for name, value in wrong.items()}
    security = guarded.librdkafka(listener, **over)
    with KafkaTransport(bootstrap_servers=guarded.address(listener), security=security) as transport:
        with pytest.raises(NotLetIn, match=reason) as caught:
            transport.admin().topics(1.0)
        assert remedy in caught.value.remedy


@pytest.mark.slow
def test_a_broker_that_goes_away_and_comes_back_costs_no_record(guarded: Guarded, topic_prefix: str) -> None:
    async def main() -> None:
        source = Source(guarded.kafka.bootstrap_servers, f"{topic_prefix}orders").create(2)
        source.send(*(b"%d" % n for n in range(100)))
        rig = Rig(source)
        async with rig.running() as trigger:
            await rig.until_events(100)
            await asyncio.to_thread(guarded.kafka.nodes[0].kill)
            await until_state(rig, trigger, TriggerState.WAITING)
            assert "no broker answers" in trigger.health.reason
            await asyncio.to_thread(guarded.kafka.nodes[0].restart)
            await asyncio.to_thread(source.send, *(b"%d" % n for n in range(100, 200)))
            await rig.until(lambda: len(set(rig.data)) == 200)
            await until_state(rig, trigger, TriggerState.WATCHING)

    run(main)
