from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def digest_of(folder: Path) -> str:
    """SHA-256 (hex) over relative paths, executable bits and content of files and symbolic links. Folders count only
    by what is in them. Each part goes in with its length, so no two trees give one sequence of bytes.
    """
    total = hashlib.sha256()
    for relative in sorted(_paths(folder)):
        for part in (relative, *_content(os.path.join(os.fsencode(folder), relative))):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _paths(folder: Path) -> Iterator[bytes]:
    root = os.fsencode(folder)
    for parent, folders, names in os.walk(root):
        linked = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in (*names, *linked):
            yield os.path.relpath(os.path.join(parent, name), root)


def _content(path: bytes) -> tuple[bytes, bytes]:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return b"link", os.readlink(path)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return b"program" if mode & stat.S_IXUSR else b"file", digest.digest()
