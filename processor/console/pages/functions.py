"""What is deployed, one function, and how to create one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from processor.console import shown
from processor.console.page import Equivalent, Page, Visit, problem_page
from processor.console.pages.runs import between
from processor.console.pages.triggers import described
from processor.http.in_process import address

_RUNS = 20
_SAMPLE = '{\n  "name": "Ada"\n}'
_FORM = ("name", "handler", "code", "timeout", "memory", "concurrency")
MAX_FORM_BYTES = 65_536


async def list_page(visit: Visit) -> Page:
    where = address("v1", "functions")
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "functions")
    counts = await _counts(visit)
    return Page(
        template="functions.html",
        title="Functions",
        section="functions",
        values={
            "functions": answer.document["functions"],
            "kinds_of": kinds_of,
            "counts": counts,
        },
        equivalents=(Equivalent(cli="headrace functions ls", path=where),),
    )


async def _counts(visit: Visit) -> Callable[[str, str], int | None]:
    """What waits and runs now, and what failed in a day; None while the history is away."""
    now = await visit.api.get(address("v1", "overview", window="1h"))
    day = await visit.api.get(address("v1", "activity", since="24h", bucket="1h"))
    if not (now.ok and day.ok):
        return lambda name, what: None
    counts: Counter[tuple[str, str]] = Counter()
    for each in now.document["functions"]:
        counts[each["function"], "queued"] = each["queued"]
        counts[each["function"], "running"] = each["running"]
    for each in day.document["activity"]:
        counts[each["function"], "failed"] += each["ended"].get("FAILED", 0)
    return lambda name, what: counts[name, what]


async def one_page(visit: Visit, name: str) -> Page:
    where = address("v1", "functions", name)
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "functions")
    function = answer.document
    runs = await visit.api.get(address("v1", "runs", function=name, limit=_RUNS))
    triggers = await visit.api.get(address("v1", "triggers", function=name))
    return Page(
        template="function.html",
        title=name,
        section="functions",
        values={
            "function": function,
            "settings": list(_settings(function)),
            "runs": runs.document["runs"] if runs.ok else [],
            "triggers": [described(each) for each in triggers.document["triggers"]] if triggers.ok else [],
            "sample": _SAMPLE,
            "between": between,
        },
        equivalents=(
            Equivalent(cli=f"headrace functions show {name}", path=where),
            Equivalent(cli=f"headrace invoke {name} --follow", path=f"{where}/invocations", method="POST"),
        ),
    )


async def create_page(visit: Visit) -> Page:
    return _form({"async_execution": "1"}, None, 200)


async def create(visit: Visit) -> Page | str:
    """The address of the new function, or the form again with what is wrong."""
    body = await visit.request.body(MAX_FORM_BYTES)
    given = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    wanted: dict[str, Any] = {name: given[name].strip() for name in _FORM if name != "name" and given.get(name)}
    if wanted.get("concurrency", "").isdigit():
        wanted["concurrency"] = int(wanted["concurrency"])
    wanted["async_execution"] = given.get("async_execution") == "1"
    name = given.get("name", "").strip()
    known = await visit.api.get(address("v1", "functions", name or "-"))
    if known.ok:
        taken = {
            "detail": f"a function is named {name!r} already",
            "remedy": "Choose another name, or deploy a new version of that one.",
        }
        return _form(given, taken, 409)
    answer = await visit.api.call("PUT", address("v1", "functions", name or "-"), wanted)
    return f"console/functions/{name}" if answer.ok else _form(given, answer.document, answer.status)


def kinds_of(function: Mapping[str, Any]) -> list[str]:
    return sorted({kind for event in function["events"] for kind in event})


def _form(given: Mapping[str, str], problem: Mapping[str, Any] | None, status: int) -> Page:
    shown_again = {name: given.get(name, "") for name in (*_FORM, "async_execution")}
    return Page(
        template="create.html",
        title="Create function",
        section="functions",
        status=status,
        values={"given": shown_again, "problem": problem},
        equivalents=(Equivalent(cli="headrace deploy functions.yaml", path="v1/functions/NAME", method="PUT"),),
    )


def _settings(function: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield "Handler", function["handler"]
    yield "Async Execution", f"{'on' if function['async_execution'] else 'off'}, locked at creation"
    yield "Time limit", shown.duration(function["timeout_sec"])
    yield "Memory limit", shown.size(function["memory_bytes"]) if function["memory_bytes"] else "none"
    yield "Concurrency", str(function["concurrency"])
    yield "Rate", f"{function['rate_per_sec']:g}/s"
    age = function["max_queue_age_sec"]
    yield "Longest wait", shown.duration(age) if age else "no limit"
    yield "Queue partitions", str(function["queue_partitions"])
    yield "Environment", ", ".join(function["env"]) or "nothing added"
    yield "Code", function["code_digest"][:19]
    yield "Earlier versions", ", ".join(function["previous"]) or "none"
