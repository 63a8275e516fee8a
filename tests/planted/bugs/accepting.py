from __future__ import annotations

import asyncio
import uuid

from processor.core.event import Event
from processor.dispatcher import accept
from processor.dispatcher.accept import Acceptor, Receipt
from tests.planted.patching import replace


def acknowledge_before_append() -> None:
    replace(Acceptor, "_append", _answered_at_once)


async def _answered_at_once(
    self: Acceptor, function_name: str, event: Event, trigger: str, event_format: str
) -> Receipt:
    run, out = self._outgoing(function_name, event, trigger=trigger, event_format=event_format)
    appending = self._appender.append(out.topic, out.value, key=out.key, partition=out.partition, headers=out.headers)
    asyncio.get_running_loop().create_task(_durable_some_day(appending))
    return Receipt(request_id=run, function=function_name, partition=out.partition, offset=0)


async def _durable_some_day(appending: object) -> None:
    assert asyncio.iscoroutine(appending)
    await appending


def request_id_from_random() -> None:
    replace(accept, "request_id", _any_request_id)


def _any_request_id(function: str, source: str, event_id: str) -> str:
    value = uuid.uuid4().hex
    return f"{value[:8]}-{value[8:12]}-8{value[13:16]}-{value[16:20]}-{value[20:]}"
