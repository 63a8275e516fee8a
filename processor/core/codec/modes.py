"""Content modes: told by the content type alone, because structured events may repeat their attributes as headers."""

from __future__ import annotations

from processor.core.codec.attributes import Malformed

_STRUCTURED = b"application/cloudevents"
_BATCH = b"application/cloudevents-batch"


def is_structured(content_type: bytes) -> bool:
    """Structured or batch."""
    return content_type[: len(_STRUCTURED)].lower() == _STRUCTURED


def is_batch(content_type: bytes) -> bool:
    return content_type[: len(_BATCH)].lower() == _BATCH


def is_json_envelope(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() in (_STRUCTURED + b"+json", _BATCH + b"+json")


def wrong_format(content_type: bytes) -> Malformed:
    shown = content_type[:80].decode("latin-1")
    return Malformed(f"content-type {shown!r} is not understood: send the event as application/cloudevents+json")


def batch_unwanted(why: str) -> Malformed:
    return Malformed(f"a batch of events is not possible here ({why}): send each event by itself")
