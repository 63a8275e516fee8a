"""The console's addresses."""

from __future__ import annotations

from urllib.parse import quote

from processor.console import actions
from processor.console.page import Page, Visit, missing_page, rendered
from processor.console.pages import bulk, executors, functions, logs, overview, queues, runs, settings, triggers
from processor.console.static import StaticFiles
from processor.console.templates import Templates
from processor.http.in_process import Api
from processor.http.message import Request, Response
from processor.http.problems import not_found


class Console:
    """Pages below /console, for the process that serves the API."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._templates = Templates()
        self._files = StaticFiles()

    async def respond(self, request: Request) -> Response:
        """request: for a path whose first segment is `console`. Raises Refused."""
        if len(request.segments) == 1:
            return moved("console/")
        rest = request.segments[1:]
        if rest[0] == "static":
            return self._files.get(request, "".join(rest[1:2]), "/".join(rest[2:]))
        visit = Visit(request, self._api)
        if request.method in ("GET", "HEAD"):
            return self._shown(await _page(visit, rest), visit)
        return await self._act(visit, rest)

    async def _act(self, visit: Visit, rest: list[str]) -> Response:
        match rest:
            case ["functions", "new"]:
                made = await functions.create(visit)
                return moved(visit.root + quote(made)) if isinstance(made, str) else self._shown(made, visit)
            case ["runs", "picked", "cancel" | "replay" as action]:
                return await actions.picked(visit, action)
            case ["runs", "all", "cancel" | "replay" as action]:
                return self._shown(await bulk.begin(visit, action), visit)
            case ["runs", "all", operation, "stop"]:
                return self._shown(await bulk.stop(visit, operation), visit)
            case ["runs", request_id, "cancel" | "replay" as action]:
                return await actions.run_action(visit, request_id, action)
            case ["functions", name, "invoke" | "pause" | "resume" | "enable" | "disable" | "delete" as action]:
                return await actions.function_action(visit, name, action)
            case ["triggers", trigger, "pause" | "resume" | "fire" as action]:
                return await actions.trigger_action(visit, trigger, action)
            case ["rejected", record, "redrive" | "discard" as action]:
                return await actions.rejected_action(visit, record, action)
            case ["executors", name, "drain"]:
                return await actions.executor_action(visit, name)
        raise _nothing(visit.request)

    def _shown(self, page: Page, visit: Visit) -> Response:
        return rendered(page, visit, self._templates, self._files.version)


async def _page(visit: Visit, rest: list[str]) -> Page:
    match rest:
        case [""]:
            return await overview.page(visit)
        case ["runs"]:
            return await runs.list_page(visit)
        case ["runs", request_id]:
            return await runs.one_page(visit, request_id)
        case ["runs", "all", "cancel" | "replay" as action]:
            return await bulk.preview(visit, action)
        case ["runs", "all", operation]:
            return await bulk.progress(visit, operation)
        case ["runs", request_id, "event"]:
            return await runs.event_part(visit, request_id)
        case ["logs"]:
            return await logs.page(visit)
        case ["functions"]:
            return await functions.list_page(visit)
        case ["functions", "new"]:
            return await functions.create_page(visit)
        case ["functions", name]:
            return await functions.one_page(visit, name)
        case ["triggers"]:
            return await triggers.list_page(visit)
        case ["triggers", trigger]:
            return await triggers.one_page(visit, trigger)
        case ["queues"]:
            return await queues.list_page(visit)
        case ["rejected", record]:
            return await queues.rejected_page(visit, record)
        case ["executors"]:
            return await executors.list_page(visit)
        case ["settings"]:
            return await settings.page(visit)
    return missing_page(visit.request.path)


def moved(where: str) -> Response:
    """See other; relative, so that it holds below any prefix."""
    return Response(status=303, headers=[(b"location", where.encode())])


def _nothing(request: Request) -> Exception:
    return not_found(f"there is no page at {request.path}", remedy="Begin at console/.")
