"""Object keys as the providers write them, and as people and CloudEvents may see them."""

from __future__ import annotations

import base64
import re
from enum import Enum
from urllib.parse import quote, quote_plus, unquote_to_bytes

#: CloudEvents allows no control characters in attributes.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class KeyEncoding(Enum):
    FORM = "form"  # a space is +, everything else percent: S3, MinIO, RustFS
    PERCENT = "percent"  # a space is %20 and + is itself
    NONE = "none"  # as it is: EventBridge, VersityGW, Ceph, GCS, Azure, COS


def decoded(key: str, encoding: KeyEncoding) -> str:
    """Bytes that are no UTF-8 become lone surrogates, so that nothing is lost."""
    if encoding is KeyEncoding.NONE:
        return key
    if encoding is KeyEncoding.FORM:
        key = key.replace("+", " ")
    return unquote_to_bytes(key).decode("utf-8", "surrogateescape") if "%" in key else key


def form_encoded(key: str) -> str:
    """As S3 itself writes it into a notification."""
    return quote_plus(_bytes(key), safe="/")


def url_encoded(key: str) -> str:
    return quote(_bytes(key), safe="/")


def readable(key: str) -> str:
    """Without lone surrogates, which neither JSON nor a log may have."""
    return key if key.isascii() else _bytes(key).decode("utf-8", "replace")


def exact(key: str) -> str | None:
    """The key's bytes in base64, when `readable` does not say them all."""
    return None if readable(key) == key else base64.b64encode(_bytes(key)).decode()


def attribute(text: str) -> str:
    """Fit for an attribute of a CloudEvent."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(lambda found: quote(found[0], safe=""), readable(text))


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")
