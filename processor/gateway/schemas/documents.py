"""What answers look like, for those who read /openapi.json; nothing is checked against it at run time.

Newer versions may add members: readers pass over what they do not know.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from processor.core.run import Status, StatusCode

#: RFC 3339, UTC, milliseconds.
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
RequestId = Annotated[str, Field(pattern=_ID)]
_CODES = ", ".join(f"{each.value} {each.name.lower().replace('_', ' ')}" for each in StatusCode)


class Document(BaseModel):
    model_config = ConfigDict(extra="allow")


class Problem(Document):
    """RFC 9457. `errors` names everything that is wrong, each with its `parameter` or JSON `pointer`."""

    type: str = Field(description="urn:headrace:problem:NAME; programs may compare it.")
    title: str
    status: int
    detail: str
    instance: str
    remedy: str = Field("", description="What to do about it.")
    request_id: str = ""
    errors: list[dict[str, Any]] = []


class RunError(Document):
    type: str
    message: str
    stack: str


class Progress(Document):
    fraction: float = Field(ge=0, le=1)
    message: str
    at: Time


class ListedRun(Document):
    request_id: RequestId
    function: str
    version: str | None
    status: Status
    status_code: int | None = Field(description=_CODES)
    error: RunError | None
    trigger: str | None = Field(description="Kind of source.")
    source: str | None
    subject: str | None
    accepted_at: Time | None
    started_at: Time | None
    ended_at: Time | None
    wait_reason: str | None
    executor: str | None
    instance: str | None
    cold_start: bool | None
    duration_ms: float | None
    memory_mb: float | None
    log_lines: int | None
    progress: Progress | None = Field(description="What the run said last of how far it is: `context.progress`.")
    deliveries: int = Field(1, description="More than one: a repeat came after the window for repeats.")


class Run(ListedRun):
    result: Any = Field(description="What the handler returned.")
    position: int | None = Field(None, description="Of a queued run: which one of its function's; 1 = the next.")


class RunPage(Document):
    runs: list[ListedRun] = Field(description="Newest first.")
    cursor: str | None = Field(description="For the next page; null: this is the last one.")
    searched_to: Time | None = Field(
        None, description="The time for one look was over: everything after this was looked through. Go on with cursor."
    )


class Accepted(Document):
    request_id: RequestId


class EventsAccepted(Document):
    request_ids: list[RequestId] = []
    results: list[dict[str, Any]] = Field([], description="Of a batch: `request_ids` of each event, in order.")


class Cancelling(Document):
    request_id: RequestId
    cancelling: bool


class Cancelled(Document):
    request_id: RequestId
    cancelled: bool
    run: Run


class Replayed(Document):
    request_id: RequestId = Field(description="Of the new run.")
    replay_of: RequestId
    function: str
    version: str


class RunEvent(Document):
    """A CloudEvent in structured mode."""

    id: str
    source: str
    type: str
    specversion: str
    data: Any = Field(None, description="Left out when the event carries none, or bytes: those are in data_base64.")


class Operation(Document):
    id: str
    action: str
    state: str = Field(description="preview, running, done, stopped.")
    filter: dict[str, str]
    count: int = Field(description="Runs that were found.")
    limited: bool = Field(description="There are more than one operation takes.")
    done: int
    skipped: int = Field(description="Runs that had ended before they could be cancelled.")
    failed: int
    runs: list[ListedRun] = Field(description="The first 20.")
    errors: list[dict[str, Any]] = Field(description="The first 20 that failed, and why.")
    created: list[dict[str, Any]] = Field(description="Of a replay: the first 20 new runs.")
    started_at: Time | None
    ended_at: Time | None


class OperationList(Document):
    operations: list[Operation]


class Function(Document):
    name: str
    version: str
    handler: str
    code_digest: str
    enabled: bool
    paused: bool
    async_execution: bool = Field(description="False: callers wait for the result. Locked at creation.")
    timeout_sec: float
    memory_bytes: int | None
    concurrency: int
    rate_per_sec: float
    max_queue_age_sec: float | None
    claim_ahead_sec: float
    queue_partitions: int
    env: list[str] = Field(description="Names only.")
    role: str | None
    events: list[dict[str, Any]]
    creation: int
    revision: int
    previous: list[str]


class FunctionList(Document):
    functions: list[Function]


class Deployed(Function):
    notes: list[str]


class Deleted(Document):
    name: str
    deleted: bool
    left: int = Field(description="Runs that wait or go on: it is removed when there are none.")


class Fire(Document):
    id: str
    trigger: str
    state: str
    asked_at: Time
    asked_by: str
    replica: str | None
    done_at: Time | None
    accepted: int
    request_ids: list[str]
    error: str
    remedy: str


class FireAsked(Document):
    id: str
    trigger: str


class Trigger(Document):
    id: str
    function: str
    kind: str
    state: str
    reason: str
    remedy: str
    paused: bool
    paused_by: str | None
    paused_at: Time | None
    accepted: int
    rejected: int
    last_event_at: Time | None
    lag: int | None
    upcoming: list[str] = Field(description="The next firings of a schedule.")
    settings: dict[str, Any]
    replicas: list[dict[str, Any]]
    fires: list[Fire]


class TriggerList(Document):
    triggers: list[Trigger]


class ListedRejected(Document):
    id: str
    rejected_at: Time
    state: str
    reason: str
    origin: str
    trigger: str | None
    function: str | None
    size_bytes: int
    cut: bool
    preview: str
    request_id: str | None
    marked_by: str | None
    marked_at: Time | None


class Rejected(ListedRejected):
    headers: list[list[str]]
    data: str | None = None
    data_base64: str | None = None


class RejectedPage(Document):
    rejected: list[ListedRejected]
    cursor: str | None


class Redriven(Document):
    id: str
    state: str
    request_id: str
    function: str


class Marked(Document):
    id: str
    state: str


class QueuePartition(Document):
    partition: int
    lag: int
    taken: int | None = Field(description="The next entry to be taken; null: none ever was.")
    end: int


class Queue(Document):
    function: str
    queue: str
    lag: int = Field(description="Entries that wait, repeats included.")
    oldest_at: Time | None = Field(description="When the oldest of them was accepted.")
    oldest_age_sec: float | None
    wait_reason: str | None
    partitions: list[QueuePartition]


class QueueList(Document):
    queues: list[Queue]
    intake_lag: int = Field(description="Accepted events that no dispatcher has queued yet.")


class Executor(Document):
    executor: str
    name: str
    state: str = Field(description="serving, draining, silent.")
    heard_at: Time
    age_sec: float
    room: bool = Field(description="It could start one more run.")
    running: int | None
    waits: dict[str, str] = Field(description="Why what it owns waits, by function.")


class ExecutorList(Document):
    executors: list[Executor]
    known: bool = Field(description="False in the first seconds, and in an outage: then some may be missing.")


class Draining(Document):
    executors: list[str] = Field(description="NAME#INCARNATION of each that will hear of it.")
    draining: bool


class Component(Document):
    role: str
    process: str
    state: str
    heard_at: Time | None
    age_sec: float | None


class ActivityBucket(Document):
    start: Time
    function: str
    accepted: dict[str, int] = Field(description="Runs accepted in it, by the status that they have now.")
    ended: dict[str, int] = Field(description="Runs ended in it, by status.")
    wait_p50_ms: float | None
    wait_p95_ms: float | None


class ActivityList(Document):
    bucket_sec: float
    activity: list[ActivityBucket] = Field(description="Only where anything happened, by time.")


class FunctionFigures(Document):
    function: str
    ended: int
    failed: int


class FunctionLoad(Document):
    function: str
    queued: int
    running: int


class Overview(Document):
    at: Time
    window_sec: float
    queued: int
    running: int
    finished: int
    failed: int
    aborted: int
    accepted_per_sec: float
    ended_per_sec: float
    wait_p50_ms: float | None
    wait_p95_ms: float | None
    oldest_queued: ListedRun | None
    failing: list[FunctionFigures] = Field(description="Most failures first.")
    functions: list[FunctionLoad] = Field(description="Those of which anything waits or runs.")
    components: list[Component]
    counters: dict[str, int]


class About(Document):
    version: str
    gateway: str = Field(description="Which gateway answers.")
    settings: dict[str, str] = Field(description="What this gateway was started with; secrets are masked.")


class Health(Document):
    status: str


class Line(Document):
    seq: int
    stream: str = Field(description="stdout, stderr, log, or platform for what Headrace says.")
    level: str | None
    time: Time
    text: str


class FoundLine(Line):
    request_id: RequestId
    function: str


class FoundLines(Document):
    lines: list[FoundLine] = Field(description="Newest first.")
    cursor: str | None = Field(description="To search on from where this page ended; null: all found.")
    searched_to: Time | None = Field(description="Everything after this was looked through; null: everything.")
