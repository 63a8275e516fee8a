from __future__ import annotations

import asyncio
from pathlib import Path

from processor.core.request_id import request_id
from processor.transport.kafka import KafkaTransport
from tests.integration.http_trigger_rig import called


def test_a_request_is_on_the_brokers_log_when_202_comes(
    tmp_path: Path, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async def scenario() -> None:
        transport = KafkaTransport(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)
        trigger = {"path": "/orders/{id}", "event_format": "scf"}
        async with called(tmp_path, trigger, on=transport) as rig:
            replies = [await rig.ask("POST", f"/orders/{number}", b"{}", idempotency_key="k") for number in range(5)]
            assert {each.status for each in replies} == {202}
            found = {request_id("f", each.source, each.id) for each in rig.events()}
            assert found == {each.json["request_id"] for each in replies}

    asyncio.run(scenario())
