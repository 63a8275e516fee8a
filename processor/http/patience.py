from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from processor.http.message import ClientGone, Request

T = TypeVar("T")


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work returns. Once the client has hung up the work is cancelled, and ClientGone raised.

    request: its body has been read.
    """
    working = asyncio.create_task(work, name="gateway-answer")
    gone = asyncio.create_task(_gone(request), name="gateway-caller")
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for each in (working, gone):
            each.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
