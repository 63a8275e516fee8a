"""Why did it fire, or not?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processor.console.page import Equivalent, Page, Visit, problem_page
from processor.http.in_process import address

_TONES = {"watching": "good", "paused": "warn", "starting": "warn", "waiting": "warn", "disabled": "warn"}
#: Settings that tell one trigger from another, the first that is there.
_TELLING = ("path", "topic", "cron", "schedule", "every", "bucket", "queue_url", "folder", "types", "type", "name")


async def list_page(visit: Visit) -> Page:
    where = address("v1", "triggers", **visit.asked_all("function"))
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "triggers")
    return Page(
        template="triggers.html",
        title="Triggers",
        section="triggers",
        values={"triggers": [described(each) for each in answer.document["triggers"]]},
        equivalents=(Equivalent(cli="headrace triggers ls", path=where),),
    )


async def one_page(visit: Visit, trigger: str) -> Page:
    where = address("v1", "triggers", trigger)
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "triggers")
    shown = described(answer.document)
    can_fire = bool(_fire_word(shown))
    return Page(
        template="trigger.html",
        title=f"{shown['kind']} {shown['what']}".strip(),
        section="triggers",
        values={"trigger": shown, "fire_word": _fire_word(shown), "tone_of": lambda state: _TONES.get(state, "bad")},
        equivalents=(
            Equivalent(cli=f"headrace triggers show {trigger}", path=where),
            Equivalent(cli=f"headrace triggers pause {trigger}", path=f"{where}/pause", method="POST"),
            *([Equivalent(cli=f"headrace triggers fire {trigger}", path=f"{where}/fire", method="POST")] * can_fire),
        ),
    )


def described(trigger: Mapping[str, Any]) -> dict[str, Any]:
    """The API's document, and in a few words which one it is."""
    settings = trigger["settings"] or {}
    what = next((str(settings[name]) for name in _TELLING if settings.get(name)), "")
    return {**trigger, "what": what, "tone": _TONES.get(trigger["state"], "bad")}


def _fire_word(trigger: Mapping[str, Any]) -> str:
    """What firing it by hand is called; "" where it means nothing."""
    if trigger["kind"] == "schedule":
        return "Fire now"
    return "Reconcile now" if trigger["kind"] == "storage" and trigger["settings"].get("reconcile") is not None else ""
