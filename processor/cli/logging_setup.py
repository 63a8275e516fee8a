from __future__ import annotations

import logging
import sys
from typing import Any

from processor.cli.settings import LogSettings

#: What a record may carry beside its text; always in this order.
FIELDS = ("action", "request_id", "function", "partition", "offset")
#: aiokafka logs each of its tries to reconnect as an error, 130 a second while a broker is away; what matters comes as
#: an exception of the transport.
_QUIET = {"aiokafka": logging.CRITICAL, "uvicorn": logging.ERROR, "asyncio": logging.ERROR}


class TextFormat(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in fields_of(record).items())
        return f"{super().formatMessage(record)}{'  ' if fields else ''}{fields}"


class JsonFormat(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        import orjson

        document: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            document["stack"] = self.formatException(record.exc_info)
        return orjson.dumps(document, default=str).decode()


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    return {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}


def set_up_logging(settings: LogSettings, level: str = "") -> None:
    """Once per process. level: instead of the setting's."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormat() if settings.format == "json" else TextFormat())
    logging.basicConfig(level=level or settings.level, handlers=[handler])
    for name, level_of_it in _QUIET.items():
        logging.getLogger(name).setLevel(level_of_it)
