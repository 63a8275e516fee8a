from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from processor.registry.code_digest import digest_of
from processor.registry.code_errors import CodeRefused
from processor.registry.code_source import copy_directory, unpack_zip

_NEW = ".new-"
#: Far longer than any snapshot takes.
_STALE_SEC = 86_400.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


class CodeStore:
    """Function code by digest, unpacked under `root`. Thread-safe, and safe between processes."""

    def __init__(self, root: Path, *, data_dir: Path | None = None) -> None:
        """root: created when it is missing. data_dir: never part of any code (`root` never is)."""
        self._root = root.resolve()
        self._never = frozenset(each.resolve() for each in (root, data_dir) if each is not None)

    def snapshot(self, source: Path, *, without: Collection[Path] = ()) -> str:
        """Stores a directory or zip file and returns the digest of its content: SHA-256 over paths, executable bits
        and bytes, the same for a directory and a zip of it. Blocks. `source` may change meanwhile: what is digested is
        the copy.

        without: paths below `source` that are no part of the code. Raises CodeRefused.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        self._sweep()
        with tempfile.TemporaryDirectory(prefix=_NEW, dir=self._root, ignore_cleanup_errors=True) as folder:
            new = Path(folder) / "code"
            new.mkdir()
            self._copy(source, new, without)
            digest = digest_of(new)
            self._keep(new, digest)
        return digest

    def path(self, digest: str) -> Path | None:
        """The unpacked code of this digest, or None when this host does not have it."""
        if not _DIGEST.fullmatch(digest):
            return None
        found = self._root / digest
        return found if found.is_dir() else None

    def _copy(self, source: Path, new: Path, without: Collection[Path]) -> None:
        if source.is_dir():
            copy_directory(source.resolve(), new, self._never.union(each.resolve() for each in without))
        elif source.is_file():
            unpack_zip(source, new)
        else:
            raise CodeRefused(f"there is no code at {source}", remedy="Correct `code`: a directory or a zip file.")

    def _sweep(self) -> None:
        """Removes what a process that was killed in the middle of a snapshot left behind."""
        for folder in self._root.glob(f"{_NEW}*"):
            with contextlib.suppress(OSError):  # its owner has just renamed or removed it
                if time.time() - folder.stat().st_mtime > _STALE_SEC:
                    shutil.rmtree(folder, ignore_errors=True)

    def _keep(self, new: Path, digest: str) -> None:
        kept = self._root / digest
        if kept.is_dir():
            return
        _sync_tree(new)
        try:
            new.rename(kept)
        except OSError:
            if not kept.is_dir():  # somebody else stored the same code meanwhile: theirs is as good
                raise
        _sync(self._root)


def _sync_tree(folder: Path) -> None:
    """After a power cut a digest must not stand over half-written files: nobody would ever write them again."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if not os.path.islink(os.path.join(parent, name)):
                _sync(Path(parent, name))
        _sync(Path(parent))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


__all__ = ["CodeRefused", "CodeStore"]
