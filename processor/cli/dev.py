from __future__ import annotations

import functools
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from processor.cli.layers import Loaded, load_settings
from processor.cli.options import COMMON, Common, settings_of

TRANSPORT = "embedded"


def dev(
    *,
    functions: Path | None = None,
    data: Path | None = None,
    port: int | None = None,
    open: bool = False,
    reload: bool = True,
    common: Common = COMMON,
) -> int:
    """Everything in one process, with a log of its own instead of Kafka: for trying and developing.

    Deploys the manifest, then prints one line `ready ROLE ...` per role and `ready dev` at the end. Ctrl-C stops in
    order and lets runs finish; a second Ctrl-C stops now.

    Parameters
    ----------
    functions
        Manifest to deploy; default: functions.yaml where it exists.
    data
        Folder for everything that is kept; default: .headrace.
    port
        Port of the HTTP API; default: 8787.
    open
        Open the API's address in the browser.
    reload
        Deploy again what changes in the manifest or in the functions' code.
    """
    _tell_transport(common)
    loaded = settings_of(
        common,
        transport=("headrace dev", TRANSPORT),
        functions=("--functions", functions),
        data_dir=("--data", data),
        gateway__port=("--port", port),
    )
    return run_everything(loaded, word="dev", banner=True, open_browser=open, reload=reload)


def _tell_transport(common: Common) -> None:
    """Whoever has asked for Kafka, in a file or for the other commands, would look for the events there."""
    asked = load_settings(config=common.config)
    if asked.settings.transport != TRANSPORT:
        print(
            f"headrace: `headrace dev` uses a log of its own, not Kafka: transport={asked.settings.transport} "
            f"({asked.origins['transport']}) counts for `headrace start` only",
            file=sys.stderr,
        )


def run_everything(loaded: Loaded, *, word: str, banner: bool, open_browser: bool = False, reload: bool = False) -> int:
    """Blocks until it was asked to stop. reload: deploy again what changes on disk. Raises HeadraceError."""
    from processor.cli.logging_setup import set_up_logging
    from processor.cli.manifest import deploy_directly, make_watched_folders, manifest_if_any
    from processor.cli.reload import Reloader
    from processor.cli.roles import ROLES
    from processor.cli.site import Site
    from processor.cli.supervisor import run_on_loop, run_roles

    settings = loaded.settings
    quiet = banner and loaded.origins["log.level"] == "default"
    set_up_logging(settings.log, "WARNING" if quiet else "")
    manifest = manifest_if_any(loaded)
    say = functools.partial(print, flush=True)
    if banner:
        _print_banner(loaded)
        if manifest is not None:
            make_watched_folders(manifest, say)

    async def prepare(site: Site) -> None:
        if manifest is not None:
            await deploy_directly(site, manifest, say)

    def beside(site: Site) -> Coroutine[Any, Any, None] | None:
        return Reloader(site, manifest, say).run() if reload and manifest is not None else None

    def said(line: str) -> None:
        say(line)
        if open_browser and line.startswith("ready gateway "):
            _open_browser(line.rpartition(" ")[2])

    run_on_loop(run_roles(settings, tuple(ROLES), said, prepare=prepare, beside=beside, at_last=f"ready {word}"))
    return 0


def _print_banner(loaded: Loaded) -> None:
    settings = loaded.settings
    named = settings.functions if loaded.origins["functions"] != "default" or settings.functions.exists() else "none"
    print(f"Headrace, one process, not for production. Data: {settings.data_dir}/  Functions: {named}", flush=True)


def _open_browser(url: str) -> None:
    import webbrowser

    webbrowser.open(url)
