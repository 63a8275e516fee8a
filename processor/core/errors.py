"""One root error; the docstring of each class is its default message."""

from __future__ import annotations


class HeadraceError(Exception):
    """Headrace could not do what was asked."""

    #: What the reader of the message can do about it; shown after the message wherever errors are printed.
    remedy: str = ""

    def __init__(self, message: str = "", *, remedy: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])
        if remedy:
            self.remedy = remedy


class Undecodable(HeadraceError):
    """The bytes are not a record this version of Headrace understands."""

    remedy = "Look at the record with `headrace rejected show`, or upgrade this role to the version that wrote it."
