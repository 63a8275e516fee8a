from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from processor.cli.client import Client
from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_table


def ls(*, asking: Asking = ASKING) -> int:
    """List executors, what they do, and when they were heard last."""
    found = Client(settings_of(asking).settings.gateway.client_url).executors()
    if asking.as_json:
        print_json(found)
        return Exit.OK
    rows = [
        (each["name"], each["state"], each["running"], "yes" if each["room"] else "no", f"{each['age_sec']:.0f} s ago")
        for each in found["executors"]
    ]
    print_table(("executor", "state", "running", "room", "heard"), rows)
    if not found["known"]:
        print("the gateway has not listened for long enough yet: there may be more")
    return Exit.OK


def drain(
    name: Annotated[str, Parameter(help="Executor: NAME, or NAME#INCARNATION for one of several.")],
    /,
    *,
    asking: Asking = ASKING,
) -> int:
    """Let an executor claim no more. It finishes what it runs, then its process ends; what waits is run by others.

    Returns once it is certain to hear of it; `headrace executors ls` shows how far it is.
    """
    told = Client(settings_of(asking).settings.gateway.client_url).drain_executor(name)
    print_json(told) if asking.as_json else print(*(f"{each} drains" for each in told["executors"]), sep="\n")
    return Exit.OK
