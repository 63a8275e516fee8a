from __future__ import annotations

import asyncio

from processor.http.app import draining
from processor.http.in_process import Answer, Api, address
from processor.http.problems import Refused

#: A synchronous invocation is answered within this time; the run itself goes on.
MAX_WAIT_SEC = 900
#: Of one question to the API; asked again until the limit.
_WAIT_SEC = 60


async def end_of(api: Api, run: str) -> Answer | None:
    """The API's document of the run once it has ended, or a refusal; None after MAX_WAIT_SEC.
    Raises Refused (503) when the gateway stops.
    """
    now_sec = asyncio.get_running_loop().time
    ends_sec = now_sec() + MAX_WAIT_SEC
    while now_sec() < ends_sec:
        asked_sec = now_sec()
        answer = await api.get(address("v1", "runs", run, wait=_WAIT_SEC))
        if not answer.ok or answer.document["ended_at"]:
            return answer
        if now_sec() - asked_sec < _WAIT_SEC - 1:  # only who stops answers early without an end
            detail = f"this gateway is stopping; the run {run} goes on"
            raise Refused(draining("Gateway stops", detail, "Send the same again: it waits for the same run."))
    return None
