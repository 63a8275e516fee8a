from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from processor.cli.errors import CommandFailed, Exit
from processor.cli.options import COMMON, Common, settings_of

RoleName = Literal["gateway", "triggers", "dispatcher", "executor", "recorder"]


class SingleProcess(CommandFailed):
    """The embedded transport serves a single process."""

    def __init__(self, role: str) -> None:
        super().__init__(
            f"the embedded transport serves a single process, so it cannot run {role} as one of several",
            remedy="Set HEADRACE_TRANSPORT=kafka, or run everything in one process: headrace serve --embedded.",
            code=Exit.USAGE,
        )


def start(
    role: Annotated[RoleName, Parameter(show_choices=True)],
    /,
    *,
    data: Path | None = None,
    port: int | None = None,
    slots: int | None = None,
    name: str | None = None,
    common: Common = COMMON,
) -> int:
    """One role as a process of its own, on Kafka. SIGTERM drains; a second one stops now.

    Prints `ready ROLE ...` once it serves. Any number of each role may run, on any number of machines.

    Parameters
    ----------
    role
        Which.
    data
        Folder for what this machine keeps; default: .headrace.
    port
        gateway: port of the HTTP API; default: 8787.
    slots
        executor: runs at the same time; default: one per processor, at least 2.
    name
        executor: its name, the same over restarts; default: the host's name.
    """
    loaded = settings_of(
        common,
        data_dir=("--data", data),
        gateway__port=("--port", port),
        executor__slots=("--slots", slots),
        executor__name=("--name", name),
    )
    if loaded.settings.transport == "embedded":
        raise SingleProcess(role)
    from processor.cli.logging_setup import set_up_logging
    from processor.cli.supervisor import run_on_loop, run_roles

    set_up_logging(loaded.settings.log)
    run_on_loop(run_roles(loaded.settings, (role,), functools.partial(print, flush=True)))
    return 0
