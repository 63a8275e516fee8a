from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import CommandFailed, Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_members, print_table

_DRAIN_LOOK_SEC = 1.0


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


def create(
    name: Annotated[str, Parameter(help="Function.")],
    /,
    *,
    handler: str,
    code: Path = Path("."),
    sync: bool = False,
    timeout: str = "15m",
    memory: str | None = None,
    concurrency: int = 4,
    asking: Asking = ASKING,
) -> int:
    """Create a function without a manifest. Whether its callers wait is fixed then.

    Parameters
    ----------
    handler
        module:callable
    code
        Folder or zip file, on the gateway's host.
    sync
        Callers wait for the result; otherwise they get the RequestId at once. It cannot be changed later.
    timeout
        1s to 24h.
    memory
        Such as 512Mi; no limit when left out.
    concurrency
        Runs at a time.
    """
    client = Client(settings_of(asking).settings.gateway.client_url)
    if any(each["name"] == name for each in client.functions()):
        remedy = "`headrace deploy` changes it; `headrace functions delete` removes it."
        raise CommandFailed(f"there is a function {name!r} already", remedy=remedy, code=Exit.USAGE)
    entry = {
        "handler": handler,
        "code": str(code.absolute()),
        "async_execution": not sync,
        "timeout": timeout,
        "concurrency": concurrency,
        **({} if memory is None else {"memory": memory}),
    }
    made = client.deploy(name, entry)
    kind = "asynchronous" if made["async_execution"] else "synchronous"
    print_json(made) if asking.as_json else print(f"{name} created, {kind}, version {made['version']}")
    return Exit.OK


def disable(name: Annotated[str, Parameter(help="Function.")], /, *, asking: Asking = ASKING) -> int:
    """Take no new events for a function; what waits is run. The next deploy sets it as its manifest says."""
    return _set_enabled(name, False, asking)


def enable(name: Annotated[str, Parameter(help="Function.")], /, *, asking: Asking = ASKING) -> int:
    """Take events for a disabled function again."""
    return _set_enabled(name, True, asking)


def delete(name: Annotated[str, Parameter(help="Function.")], /, *, wait: bool = True, asking: Asking = ASKING) -> int:
    """Take no new events for a function, and remove it once nothing of it waits or runs. Its runs stay listed.

    Parameters
    ----------
    wait
        --no-wait: do not wait for its last runs. It stays disabled then; delete it again later.
    """
    client = Client(settings_of(asking).settings.gateway.client_url)
    answer = client.delete_function(name)
    while wait and not answer["deleted"]:
        if not asking.as_json:
            print(f"{name}: {answer['left']} runs are left")
        time.sleep(_DRAIN_LOOK_SEC)
        answer = client.delete_function(name)
    if asking.as_json:
        print_json(answer)
    else:
        print(f"{name} deleted" if answer["deleted"] else f"{name} is disabled; {answer['left']} runs are left")
    return Exit.OK if answer["deleted"] else Exit.FAILED


def _set_enabled(name: str, enabled: bool, asking: Asking) -> int:
    found = Client(settings_of(asking).settings.gateway.client_url).set_enabled(name, enabled)
    print_json(found) if asking.as_json else print(f"{name} {'enabled' if found['enabled'] else 'disabled'}")
    return Exit.OK


def _set_paused(name: str, paused: bool, asking: Asking) -> int:
    found = Client(settings_of(asking).settings.gateway.client_url).set_paused(name, paused)
    print_json(found) if asking.as_json else print(f"{name} {'paused' if found['paused'] else 'resumed'}")
    return Exit.OK


def _triggers(function: dict[str, Any]) -> str:
    """Those of the manifest; every function can be invoked besides."""
    states = ["" if function["enabled"] else " (disabled)", " (paused)" if function["paused"] else ""]
    kinds = dict.fromkeys(kind for event in function["events"] for kind in event)
    return (", ".join(kinds) or "none") + "".join(states)
