from __future__ import annotations

from processor.core.errors import HeadraceError

#: Unpacked; AWS Lambda's limit for code and layers.
MAX_CODE_BYTES = 250 * 1024 * 1024
#: Bounds the inodes of one version; a large virtual environment has 30,000 files.
MAX_CODE_FILES = 100_000


class CodeRefused(HeadraceError):
    """The code cannot be deployed."""


class CodeTooLarge(CodeRefused):
    """The code is larger than the limit."""

    remedy = "Keep models and data outside the code folder, and load them when the function starts."

    def __init__(self, source: str) -> None:
        super().__init__(
            f"{source} has more than {MAX_CODE_BYTES // 2**20} MB or {MAX_CODE_FILES:,} files when unpacked"
        )


class CodeUnsafe(CodeRefused):
    """Something in the code points outside it."""

    remedy = "Replace it by a copy of what it points to, or leave it out."
