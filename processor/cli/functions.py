from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_members, print_table


def ls(*, asking: Asking = ASKING) -> int:
    """List the deployed functions."""
    found = Client(settings_of(asking).settings.gateway.client_url).functions()
    if asking.as_json:
        print_json({"functions": found})
        return Exit.OK
    rows = [
        (each["name"], each["version"], each["handler"], f"{each['timeout_sec']:g} s", _triggers(each))
        for each in found
    ]
    print_table(("function", "version", "handler", "timeout", "triggers"), rows)
    return Exit.OK


def show(name: Annotated[str, Parameter(help="Function.")], /, *, asking: Asking = ASKING) -> int:
    """Show one function. Of its environment only the names are shown."""
    found = Client(settings_of(asking).settings.gateway.client_url).function(name)
    print_json(found) if asking.as_json else print_members(found)
    return Exit.OK


def pause(name: Annotated[str, Parameter(help="Function.")], /, *, asking: Asking = ASKING) -> int:
    """Stop starting a function's runs: its events go on being accepted and wait. What runs goes on."""
    return _set_paused(name, True, asking)


def resume(name: Annotated[str, Parameter(help="Function.")], /, *, asking: Asking = ASKING) -> int:
    """Start a paused function's runs again, in the order of their acceptance."""
    return _set_paused(name, False, asking)


def _set_paused(name: str, paused: bool, asking: Asking) -> int:
    found = Client(settings_of(asking).settings.gateway.client_url).set_paused(name, paused)
    print_json(found) if asking.as_json else print(f"{name} {'paused' if found['paused'] else 'resumed'}")
    return Exit.OK


def _triggers(function: dict[str, Any]) -> str:
    states = ["" if function["enabled"] else " (disabled)", " (paused)" if function["paused"] else ""]
    kinds = ["http", *(kind for event in function["events"] for kind in event)]
    return ", ".join(dict.fromkeys(kinds)) + "".join(states)
