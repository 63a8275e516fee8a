"""Copies code into a fresh folder: only plain files, and links that stay inside."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from processor.registry.code_errors import MAX_CODE_BYTES, MAX_CODE_FILES, CodeRefused, CodeTooLarge, CodeUnsafe

#: Never code. The caches change with every test run: with them in it, unchanged code would be a new version.
_NEVER = frozenset(
    (
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".hypothesis",
        ".tox",
        ".nox",
        ".DS_Store",
    )
)
_CHUNK_BYTES = 1 << 20


class _Meter:
    """Counts files and bytes as they are written: what headers and directories claim is not believed."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._bytes = 0
        self._files = 0

    def copy(self, source: IO[bytes], target: Path, *, executable: bool) -> None:
        self.count_file()
        with open(target, "xb") as file:
            while chunk := source.read(_CHUNK_BYTES):
                self._bytes += len(chunk)
                if self._bytes > MAX_CODE_BYTES:
                    raise CodeTooLarge(self._source)
                file.write(chunk)
        target.chmod(0o755 if executable else 0o644)

    def count_file(self) -> None:
        self._files += 1
        if self._files > MAX_CODE_FILES:
            raise CodeTooLarge(self._source)


def copy_directory(source: Path, target: Path, without: Collection[Path]) -> None:
    """Raises CodeRefused. `target` is an empty folder."""
    meter = _Meter(str(source))
    try:
        for found in _walk(source, without):
            copy = target / found.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            _copy_one(found, copy, meter)
    except OSError as error:
        raise CodeRefused(f"{source} cannot be read: {error}", remedy="Check that its files are readable.") from error
    _check_links(target)


def unpack_zip(source: Path, target: Path) -> None:
    """Raises CodeRefused. `target` is an empty folder."""
    meter = _Meter(str(source))
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                _unpack_one(archive, member, target, meter)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise CodeRefused(
            f"{source} cannot be unpacked: {error}", remedy="Deploy a plain zip file, without a password."
        ) from error


def _walk(source: Path, without: Collection[Path]) -> Iterator[Path]:
    for folder, folders, names in os.walk(source, onerror=_raise):
        parent = Path(folder)
        folders[:] = [name for name in folders if name not in _NEVER and parent / name not in without]
        for name in (*names, *(each for each in folders if (parent / each).is_symlink())):
            if name not in _NEVER and not name.endswith(".pyc") and parent / name not in without:
                yield parent / name


def _raise(error: OSError) -> None:
    raise error


def _copy_one(found: Path, copy: Path, meter: _Meter) -> None:
    mode = found.lstat().st_mode
    if stat.S_ISLNK(mode):
        meter.count_file()
        copy.symlink_to(os.readlink(found))
        return
    if not stat.S_ISREG(mode):
        raise CodeUnsafe(f"{found} is neither a file nor a folder")
    with open(found, "rb") as file:
        meter.copy(file, copy, executable=bool(mode & stat.S_IXUSR))


def _check_links(target: Path) -> None:
    """On the copy, so that no link can be changed after it was looked at, or point at what was left out."""
    root = target.resolve()
    for folder, folders, names in os.walk(target):
        for name in (*folders, *names):
            link = Path(folder, name)
            if link.is_symlink() and not _stays_inside(link, root):
                raise CodeUnsafe(
                    f"the link {link.relative_to(target)} -> {os.readlink(link)} leads outside the code, or nowhere"
                )


def _stays_inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        return False


def _unpack_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, meter: _Meter) -> None:
    mode = member.external_attr >> 16
    name = PurePosixPath(member.filename)
    if stat.S_ISLNK(mode):
        raise CodeUnsafe(f"{member.filename} in the zip is a symbolic link")
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename or not name.parts:
        raise CodeUnsafe(f"{member.filename} in the zip would land outside the code")
    if member.is_dir() or _NEVER.intersection(name.parts) or name.suffix == ".pyc":
        return
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as file:
        meter.copy(file, path, executable=bool(mode & stat.S_IXUSR))
