"""Several gateways share the rate of each function."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.gateway.service import Gateway
from processor.registry.code_store import CodeStore
from processor.transport.abstract import Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.integration.gateway_rig import Reply, Rig, eventually, function, running

#: One token in so many seconds, so that what a test takes does not show in the answers.
SECONDS_PER_TOKEN = 1_000


@pytest.fixture(params=["embedded", "kafka"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    if request.param == "embedded":
        yield EmbeddedTransport(tmp_path / "log")
    else:
        bootstrap, prefix = request.getfixturevalue("kafka_bootstrap"), request.getfixturevalue("topic_prefix")
        yield KafkaTransport(bootstrap_servers=bootstrap, topic_prefix=prefix)


def test_the_rate_of_a_function_is_divided_among_the_gateways_that_live(transport: Transport, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False, on=transport) as rig:
            rig.deploy(function("slow", rate_per_sec=1 / SECONDS_PER_TOKEN))
            await rig.until_deployed("slow")
            assert (await invoke(rig)).status == 202
            assert SECONDS_PER_TOKEN / 2 < await seconds_until_the_next(rig) <= SECONDS_PER_TOKEN
            second = gateway_beside(rig, tmp_path)
            await second.start()
            try:
                await eventually(lambda: half_the_rate(rig))
            finally:
                await second.stop()
            await eventually(lambda: all_of_the_rate(rig))

    asyncio.run(scenario())


async def half_the_rate(rig: Rig) -> bool:
    return await seconds_until_the_next(rig) > SECONDS_PER_TOKEN


async def all_of_the_rate(rig: Rig) -> bool:
    return not await half_the_rate(rig)


async def seconds_until_the_next(rig: Rig) -> int:
    refused = await invoke(rig)
    assert refused.status == 429
    return int(refused.headers["retry-after"])


async def invoke(rig: Rig) -> Reply:
    return await rig.ask("POST", "/v1/functions/slow/invocations")


def gateway_beside(rig: Rig, folder: Path) -> Gateway:
    return Gateway(
        transport=rig.transport,
        store=rig.store,
        registry=rig.registry,
        code=CodeStore(folder / "code"),
        clock=rig.clock,
        port=0,
        drain_sec=3,
    )
