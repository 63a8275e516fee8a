"""Where is it stuck?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processor.console import shown
from processor.console.page import Equivalent, Page, Visit, problem_page
from processor.http.in_process import address

_REJECTED = 50


async def list_page(visit: Visit) -> Page:
    where = address("v1", "queues")
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "queues")
    state = visit.asked("state") or "open"
    rejected = await visit.api.get(address("v1", "rejected", state=state, limit=_REJECTED))
    if not rejected.ok:
        return problem_page(rejected, "queues")
    intake = {
        "function": "",
        "name": "intake",
        "waiting": answer.document["intake_lag"],
        "oldest": None,
        "why": "accepted, not yet passed on by a dispatcher",
    }
    return Page(
        template="queues.html",
        title="Queues",
        section="queues",
        values={
            "queues": [intake, *(_queue(each) for each in answer.document["queues"])],
            "rejected": rejected.document["rejected"],
            "state": state,
        },
        equivalents=(
            Equivalent(cli="headrace queues ls", path=where),
            Equivalent(cli="headrace rejected ls", path=address("v1", "rejected")),
        ),
    )


async def rejected_page(visit: Visit, record: str) -> Page:
    where = address("v1", "rejected", record)
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "queues")
    document = answer.document
    names = ("id", "state", "origin", "trigger", "function", "rejected_at", "size_bytes", "request_id")
    facts = [(name.replace("_", " "), str(document[name])) for name in names if document.get(name) is not None]
    facts += [(f"header {name}", value) for name, value in document.get("headers", ())]
    payload = document.get("data")
    return Page(
        template="rejected.html",
        title=f"Rejected {record}",
        section="queues",
        values={
            "record": document,
            "facts": facts,
            "payload": shown.visible(
                payload if payload is not None else f"{document.get('data_base64', '')}\n(base64)"
            )[: shown.PAYLOAD_CHARS],
        },
        equivalents=(
            Equivalent(cli=f"headrace rejected show {record}", path=where),
            Equivalent(cli=f"headrace rejected redrive {record}", path=f"{where}/redrive", method="POST"),
        ),
    )


def _queue(each: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "function": each["function"],
        "name": each["queue"],
        "waiting": each["lag"],
        "oldest": each["oldest_at"],
        "why": each["wait_reason"],
    }
