from __future__ import annotations

import base64
import binascii
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from processor.gateway.scf.envelope import ScfError


@contextlib.contextmanager
def unpacked(zip_base64: str) -> Iterator[Path]:
    """The .zip of `Code.ZipFile` as a file, for as long as a deploy reads it. Raises ScfError."""
    try:
        packed = base64.b64decode(zip_base64, validate=True)
    except binascii.Error as error:
        raise ScfError("InvalidParameterValue.Code", f"Code.ZipFile is not base64: {error}") from error
    with tempfile.TemporaryDirectory(prefix="headrace-scf-") as folder:
        path = Path(folder, "code.zip")
        path.write_bytes(packed)
        yield path
