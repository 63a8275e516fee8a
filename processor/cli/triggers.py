from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_members, print_table

TriggerId = Annotated[str, Parameter(help="Trigger, as `headrace triggers ls` names it.")]

_LOOK_SEC = 0.2
#: Letting go of a source takes a moment; a Kafka consumer that leaves its group takes some seconds.
_OBEYED_SEC = 15.0


def ls(*, function: str | None = None, asking: Asking = ASKING) -> int:
    """List triggers and how they are.

    Parameters
    ----------
    function
        Only of this function.
    """
    found = _client(asking).triggers(**({} if function is None else {"function": function}))
    if asking.as_json:
        print_json({"triggers": found})
        return Exit.OK
    rows = [
        (each["id"], each["state"], each["accepted"], each["rejected"], each["lag"], _local(each["last_event_at"]),
         _next_or_reason(each))
        for each in found
    ]  # fmt: skip
    print_table(("trigger", "state", "accepted", "rejected", "lag", "last event", "about"), rows)
    return Exit.OK


def show(trigger: TriggerId, /, *, asking: Asking = ASKING) -> int:
    """Show one trigger, in every process that runs it."""
    found = _client(asking).trigger(trigger)
    if asking.as_json:
        print_json(found)
        return Exit.OK
    replicas, fires = found.pop("replicas"), found.pop("fires")
    print_members({**found, "paused": found["paused"] or None, "upcoming": ", ".join(found["upcoming"])})
    if replicas:
        print()
        rows = [
            (each["replica"], each["state"], each["accepted"], each["rejected"], each["reason"]) for each in replicas
        ]
        print_table(("process", "state", "accepted", "rejected", "reason"), rows)
    if fires:
        print()
        print_table(("fired", "state", "events", "by", "error"), [_fire_row(each) for each in fires])
    return Exit.OK


def fire(trigger: TriggerId, /, *, wait: float = 10.0, asking: Asking = ASKING) -> int:
    """Fire a trigger once, now: a schedule as if its time had come, a bucket is compared with its runs.

    Prints the RequestIds. One process does it, at most once.

    Parameters
    ----------
    wait
        Seconds to wait until it is done.
    """
    client = _client(asking)
    request = client.order_trigger(trigger, "fire")["id"]
    done = _until(lambda: client.trigger_fire(trigger, request), _is_over, wait)
    if asking.as_json:
        print_json(done)
    elif done["state"] == "fired":
        _print_fired(done)
    if done["state"] == "fired":
        return Exit.OK
    _tell_unfired(done, trigger, wait)
    return Exit.FAILED if done["state"] == "failed" else Exit.UNREACHABLE


def pause(trigger: TriggerId, /, *, asking: Asking = ASKING) -> int:
    """Pause a trigger until it is resumed; what happens meanwhile waits at its source.

    It stays paused over restarts and deploys, as long as its settings stay the same.
    """
    return _order(trigger, "pause", lambda each: each["state"] == "paused", asking)


def resume(trigger: TriggerId, /, *, asking: Asking = ASKING) -> int:
    """Resume a paused trigger."""
    return _order(trigger, "resume", lambda each: each["state"] != "paused", asking)


def _order(trigger: str, order: str, obeyed: Callable[[dict[str, Any]], bool], asking: Asking) -> int:
    client = _client(asking)
    client.order_trigger(trigger, order)  # durable: whoever runs it obeys sooner or later
    found = _until(lambda: client.trigger(trigger), lambda each: obeyed(each) or not each["replicas"], _OBEYED_SEC)
    if asking.as_json:
        print_json(found)
    else:
        reason = f": {found['reason']}" if found["reason"] else ""
        print(f"{found['id']} is {found['state']}{reason}")
    if not obeyed(found):
        print(f"headrace: not every process has obeyed yet: `headrace triggers show {trigger}`", file=sys.stderr)
    return Exit.OK


def _until(
    ask: Callable[[], dict[str, Any]], done: Callable[[dict[str, Any]], bool], wait_sec: float
) -> dict[str, Any]:
    """The last answer, after wait_sec at the latest."""
    deadline_sec = time.monotonic() + wait_sec
    answer = ask()
    while not done(answer) and time.monotonic() < deadline_sec:
        time.sleep(_LOOK_SEC)
        answer = ask()
    return answer


def _is_over(fire: dict[str, Any]) -> bool:
    return fire["state"] in ("fired", "failed")


def _print_fired(fire: dict[str, Any]) -> None:
    for request_id in fire["request_ids"]:
        print(request_id)
    left = fire["accepted"] - len(fire["request_ids"])
    if left:
        print(f"and {left} more", file=sys.stderr)
    if not fire["accepted"]:
        print("nothing was to be done", file=sys.stderr)


def _tell_unfired(fire: dict[str, Any], trigger: str, wait_sec: float) -> None:
    told = {
        "failed": fire["error"],
        "firing": f"{fire['replica']} is still at it",
        "asked": f"no process has taken it within {wait_sec:g} s; after a minute none will",
    }
    print(f"headrace: {told[fire['state']]}", file=sys.stderr)
    print(f"  -> {fire['remedy'] or f'Look again: `headrace triggers show {trigger}`.'}", file=sys.stderr)


def _fire_row(fire: dict[str, Any]) -> tuple[object, ...]:
    return _local(fire["asked_at"]), fire["state"], fire["accepted"], fire["asked_by"], fire["error"]


def _next_or_reason(trigger: dict[str, Any]) -> str:
    if trigger["reason"]:
        return str(trigger["reason"])
    return f"next {trigger['upcoming'][0]}" if trigger["upcoming"] else ""


def _local(time: str | None) -> str:
    return "" if time is None else datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _client(asking: Asking) -> Client:
    return Client(settings_of(asking).settings.gateway.client_url)
