"""What buttons do: one call of the API each, and a word about how it went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from processor.console.page import SAFE_HEADERS, Visit
from processor.http.in_process import Answer, address
from processor.http.message import Response

#: An event in a form is percent-encoded: up to three bytes for one.
MAX_FORM_BYTES = 4_194_304
_GRACE_SEC = 10
#: A page shows 50; for more there is the filter.
MAX_PICKED = 200
#: Of what travels in a header.
_MAX_SAID_CHARS = 1_000


async def run_action(visit: Visit, request_id: str, action: str) -> Response:
    form = await _form(visit)
    if action == "cancel":
        body: dict[str, Any] = {} if form.get("now") else {"grace": _GRACE_SEC}
        answer = await visit.api.call("POST", address("v1", "runs", request_id, "cancel"), body)
        return _said(answer, "It is being cancelled")
    body = {}
    if "data" in form:
        try:
            body = {"data": orjson.loads(form["data"])}
        except orjson.JSONDecodeError as error:
            return _said_text(f"The event is not JSON: {error}", bad=True)
    answer = await visit.api.call("POST", address("v1", "runs", request_id, "replay"), body)
    return _said(answer, "Replayed", go=_run_of(answer))


async def function_action(visit: Visit, name: str, action: str) -> Response:
    where = address("v1", "functions", name)
    if action == "invoke":
        text = (await _form(visit)).get("data", "").strip()
        try:
            data = orjson.loads(text) if text else None
        except orjson.JSONDecodeError as error:
            return _said_text(f"The event is not JSON: {error}", bad=True)
        # To the page of the run at once, also of a synchronous function.
        answer = await visit.api.call("POST", f"{where}/invocations", data, prefer="respond-async")
        return _said(answer, "Accepted", go=_run_of(answer))
    if action == "delete":
        if (await _form(visit)).get("confirm") != name:
            return _said_text("That is not the name of the function; nothing was deleted.", bad=True)
        answer = await visit.api.call("DELETE", where)
        if answer.status == 202:
            left = answer.document["left"]
            return _said_text(
                f"It takes nothing new; {left} of its runs are left. Delete it again when they have ended."
            )
        return _said(answer, "Deleted", go="console/functions")
    return _said(await visit.api.call("POST", f"{where}/{action}"), f"{name}: {action}d", reload=True)


async def trigger_action(visit: Visit, trigger: str, action: str) -> Response:
    return _said(await visit.api.call("POST", address("v1", "triggers", trigger, action)), f"Asked to {action}")


async def rejected_action(visit: Visit, record: str, action: str) -> Response:
    answer = await visit.api.call("POST", address("v1", "rejected", record, action))
    return _said(answer, action.removesuffix("e").capitalize() + "ed", go=_run_of(answer) or "console/queues")


async def executor_action(visit: Visit, name: str) -> Response:
    return _said(await visit.api.call("POST", address("v1", "executors", name, "drain")), f"{name} drains")


async def picked(visit: Visit, action: str) -> Response:
    """Answers {"text", "bad"}: how many of the picked runs it was done to, and the first refusal."""
    runs = (await _forms(visit)).get("pick", [])
    if len(runs) > MAX_PICKED:
        return Response(status=413, body=orjson.dumps({"text": f"More than {MAX_PICKED} at a time", "bad": True}))
    answers = [await visit.api.call("POST", address("v1", "runs", each, action), {}) for each in runs]
    refused = [each for each in answers if not each.ok]
    done = f"{len(answers) - len(refused)} of {len(answers)} {'cancelled' if action == 'cancel' else 'replayed'}"
    text = f"{done}; {refused[0].document.get('detail', '')}" if refused else done
    return Response(status=200, body=orjson.dumps({"text": text, "bad": bool(refused)}), headers=list(SAFE_HEADERS))


async def _forms(visit: Visit) -> Mapping[str, list[str]]:
    return parse_qs((await visit.request.body(MAX_FORM_BYTES)).decode("utf-8", "replace"), keep_blank_values=True)


async def _form(visit: Visit) -> dict[str, str]:
    return {name: values[-1] for name, values in (await _forms(visit)).items()}


def _run_of(answer: Answer) -> str:
    run = (answer.document or {}).get("request_id") if answer.ok else None
    return f"console/runs/{run}" if run else ""


def _said(answer: Answer, text: str, *, go: str = "", reload: bool = False) -> Response:
    if answer.ok:
        return _said_text(text, go=go, reload=reload)
    document = answer.document or {}
    return _said_text(" ".join(filter(None, (document.get("detail"), document.get("remedy")))) or text, bad=True)


def _said_text(text: str, *, bad: bool = False, go: str = "", reload: bool = False) -> Response:
    # The standard library escapes everything but ASCII, which is what a header may hold.
    said = json.dumps({"said": {"text": text[:_MAX_SAID_CHARS], "bad": bad, "go": go, "reload": reload}})
    return Response(status=204, headers=[*SAFE_HEADERS, (b"hx-trigger", said.encode())])
