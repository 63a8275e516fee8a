"""`headrace dev` deploys again what has changed on disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from processor.cli.manifest import deploy_directly
from processor.cli.site import Site
from processor.core.errors import HeadraceError
from processor.registry.manifest import Manifest, load_manifest
from triggers.folder.watch import Change, FolderWatch

#: An editor writes several files, and each of them twice.
QUIET_SEC = 0.3
#: A folder that has gone is looked for again.
LOOK_SEC = 2.0


class Reloader:
    """Watches the manifest and the code of its functions. Runs beside the roles, on their event loop."""

    def __init__(self, site: Site, manifest: Manifest, say: Callable[[str], None]) -> None:
        self._site = site
        self._manifest = manifest
        self._say = say
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled. What cannot be deployed is told, and what was deployed goes on."""
        watching: list[asyncio.Task[None]] = []
        try:
            while True:
                watching = [asyncio.create_task(self._watch(folder)) for folder in sorted(self._folders())]
                await self._changed.wait()
                await self._until_quiet()
                await _cancel(watching)
                await self._deploy()
        finally:
            await _cancel(watching)

    async def _until_quiet(self) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                self._changed.clear()
                await asyncio.wait_for(self._changed.wait(), QUIET_SEC)

    async def _deploy(self) -> None:
        try:
            self._manifest = await asyncio.to_thread(load_manifest, self._manifest.file)
            await deploy_directly(self._site, self._manifest, self._say, only_changed=True)
        except HeadraceError as error:
            self._say(f"not deployed: {error}")

    async def _watch(self, folder: Path) -> None:
        while True:
            try:
                async with FolderWatch(str(folder)) as watch:
                    while True:
                        told = await watch.next()
                        if told is not None and self._matters(folder, told.change, told.key):
                            self._changed.set()
            except HeadraceError:
                await asyncio.sleep(LOOK_SEC)

    def _matters(self, folder: Path, change: Change, key: str) -> bool:
        """In the manifest's own folder only the manifest does, unless there is code as well."""
        if change is not Change.FILE:
            return change is Change.FOLDER and folder in self._code()
        changed = folder / key
        return changed == self._manifest.file.absolute() or any(
            changed == code or code in changed.parents for code in self._code()
        )

    def _code(self) -> set[Path]:
        return {each.code for each in self._manifest.functions.values()}

    def _folders(self) -> set[Path]:
        code = {each if each.is_dir() else each.parent for each in self._code()}
        every = {*code, self._manifest.file.absolute().parent}
        return {each for each in every if not any(other in each.parents for other in every)}


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
