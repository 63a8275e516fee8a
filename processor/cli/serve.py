from __future__ import annotations

from pathlib import Path

from processor.cli.dev import run_everything
from processor.cli.errors import CommandFailed, Exit
from processor.cli.options import COMMON, Common, settings_of


def serve(
    *,
    embedded: bool = False,
    functions: Path | None = None,
    data: Path | None = None,
    port: int | None = None,
    common: Common = COMMON,
) -> int:
    """Every role in one process on one machine, as a service: the embedded log instead of Kafka.

    Like `headrace dev`, but it logs for an operator. SIGTERM drains: runs are finished first.

    Parameters
    ----------
    embedded
        Has to be given: it says that everything stands on this machine's disk.
    functions
        Manifest to deploy at the start; default: functions.yaml where it exists.
    data
        Folder for everything that is kept; default: .headrace.
    port
        Port of the HTTP API; default: 8787.
    """
    if not embedded:
        raise CommandFailed(
            "`headrace serve` runs everything in one process on the embedded log",
            remedy="Say so with --embedded; on Kafka, start each role: headrace start ROLE.",
            code=Exit.USAGE,
        )
    loaded = settings_of(
        common,
        transport=("--embedded", "embedded"),
        functions=("--functions", functions),
        data_dir=("--data", data),
        gateway__port=("--port", port),
    )
    return run_everything(loaded, word="serve", banner=False)
