"""How is it set up?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processor.console.page import Equivalent, Page, Visit
from processor.http.in_process import address

_LINKS = (
    ("API", "openapi.json", "every address, OpenAPI 3.1"),
    ("Topics", "asyncapi.json", "every topic and record, AsyncAPI"),
    ("Health", "healthz", "whether this gateway lives"),
    ("Readiness", "readyz", "whether it can serve"),
)


async def page(visit: Visit) -> Page:
    where = address("v1", "about")
    about, ready = await visit.api.get(where), await visit.api.get(address("readyz"))
    known: dict[str, Any] = about.document if about.ok else {"version": "?", "gateway": "?", "settings": {}}
    facts = (
        ("Version", known["version"]),
        ("Gateway", known["gateway"]),
        ("State", "ready" if ready.ok else (ready.document or {}).get("detail", "not ready")),
    )
    return Page(
        template="settings.html",
        title="Settings",
        section="settings",
        values={"facts": facts, "groups": _groups(known["settings"]), "links": _LINKS},
        equivalents=(Equivalent(cli="headrace config show", path=where), Equivalent(cli="headrace doctor")),
    )


def _groups(settings: Mapping[str, str]) -> Mapping[str, list[tuple[str, str]]]:
    """By the part of the name before the dot."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, value in settings.items():
        group, _, rest = name.rpartition(".")
        groups.setdefault(group or "general", []).append((rest.replace("_", " "), value))
    return groups
