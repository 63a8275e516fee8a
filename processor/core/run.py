from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple


class Status(Enum):
    QUEUED = "QUEUED"  # accepted, not yet claimed
    RUNNING = "RUNNING"  # claimed by an executor
    FINISHED = "FINISHED"  # the handler returned
    FAILED = "FAILED"  # the handler or its process or its instance failed
    ABORTED = "ABORTED"  # ended from outside: cancelled, expired in the queue

    @property
    def is_end(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)


class StatusCode(IntEnum):
    """Numeric status codes with the meaning of Tencent SCF's (reference: SCF function status codes); 408 is ours."""

    OK = 200
    EXPIRED = 408
    HANDLER_RAISED = 430
    TIME_LIMIT = 433
    MEMORY_LIMIT = 434
    FUNCTION_NOT_FOUND = 435
    HANDLER_NOT_LOADABLE = 437
    PROCESS_EXITED = 439
    CANCELLED = 499
    INSTANCE_LOST = 500

    @property
    def status(self) -> Status:
        if self is StatusCode.OK:
            return Status.FINISHED
        if self in (StatusCode.CANCELLED, StatusCode.EXPIRED):
            return Status.ABORTED
        return Status.FAILED


@dataclass(frozen=True, kw_only=True, slots=True)
class RunError:
    """Why a run did not finish: the exception's class name (or a Runtime.* name), its text, its traceback."""

    type: str
    message: str
    stack: str = ""

    def document(self) -> dict[str, str]:
        return {"type": self.type, "message": self.message, "stack": self.stack}


class Delivery(NamedTuple):
    """One entry of a RequestId in its queue, named by its queue position."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Delivery:
        topic, partition, offset = text.rsplit("/", 2)
        return cls(topic, int(partition), int(offset))
