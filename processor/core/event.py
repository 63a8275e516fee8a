from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: CloudEvents extension attribute that names the function an event is for (DESIGN 13).
FUNCTION_ATTRIBUTE = "function"
#: Extension attributes that our adapters set: which trigger made the event, and the shape its handler gets.
TRIGGER_ATTRIBUTE = "headracetrigger"
FORMAT_ATTRIBUTE = "headraceformat"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What happened outside, as a CloudEvents 1.0 event. Its identity is (source, id).

    `data` holds the payload bytes as they came in; None means no data at all, which is not the same as b"".
    """

    id: str
    source: str
    type: str
    subject: str | None = None
    #: RFC 3339 text, kept as the producer wrote it.
    time: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = None

    @property
    def function(self) -> str | None:
        return self.extensions.get(FUNCTION_ATTRIBUTE)

    @property
    def is_json(self) -> bool:
        return is_json_type(self.datacontenttype)


def is_json_type(content_type: str | None) -> bool:
    """No content type means JSON (CloudEvents JSON format 1.0.2, section 3.1)."""
    if not content_type or content_type == "application/json":
        return True
    return content_type.partition(";")[0].strip().lower().endswith(("/json", "+json"))
