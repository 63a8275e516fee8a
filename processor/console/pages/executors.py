"""Who runs it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processor.console.page import Equivalent, Page, Visit, problem_page
from processor.console.pages.overview import tone
from processor.http.in_process import address


async def list_page(visit: Visit) -> Page:
    where = address("v1", "executors")
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "executors")
    return Page(
        template="executors.html",
        title="Executors",
        section="executors",
        values={"executors": [_executor(each) for each in answer.document["executors"]]},
        equivalents=(Equivalent(cli="headrace executors ls", path=where),),
    )


def _executor(each: Mapping[str, Any]) -> dict[str, Any]:
    waits = "; ".join(f"{name} waits: {why}" for name, why in (each.get("waits") or {}).items())
    return {
        "name": each["name"],
        "state": each["state"],
        "tone": tone(each["state"]),
        "running": each["running"],
        "at": each["heard_at"],
        "note": waits or ("room for one more" if each.get("room") else "no free slot"),
        "can_drain": each["state"] == "serving",
    }
