"""Typed looks into JSON that others wrote: what is not there, or is of another type, is None."""

from __future__ import annotations

from typing import Any

from processor.core.errors import HeadraceError

#: Beyond 64 bits JSON numbers are nobody's sizes, and cannot be written by our encoder.
_LARGEST = 1 << 63


class NoNotification(HeadraceError):
    """This is no notification of an object store that Headrace understands."""

    remedy = "See docs/triggers/storage.md for those it does; look at the bytes with `headrace rejected show`."


def at(document: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(document, dict):  # a Mapping too, but to ask that costs five times as much
            return None
        document = document.get(name)
    return document


def text(document: Any, *path: str) -> str | None:
    """None also for an empty text."""
    for name in path:  # as `at`, which is not called: a notification has a dozen of these
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document if isinstance(document, str) and document else None


def required(document: Any, *path: str) -> str:
    """Raises NoNotification."""
    found = text(document, *path)
    if found is None:
        raise NoNotification(f"it has no text at {'.'.join(path)}")
    return found


def integer(document: Any, *path: str) -> int | None:
    """Also of a text: Ceph and GCS write sizes so."""
    found = at(document, *path)
    if isinstance(found, bool) or not isinstance(found, int | str):
        return None
    try:
        number = int(found)
    except ValueError:
        return None
    return number if abs(number) < _LARGEST else None


def etag(document: Any, *path: str) -> str | None:
    """Without the quotation marks that HTTP wants around it."""
    found = text(document, *path)
    return found.strip('"') if found else None
