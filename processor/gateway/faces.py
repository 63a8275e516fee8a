"""Other faces of the same API: pages for people, and the APIs of other platforms for the clients they have."""

from __future__ import annotations

from processor.console.app import Console, moved
from processor.gateway.lambda_api import LambdaApi
from processor.gateway.scf.api import HEADER as SCF_ACTION
from processor.gateway.scf.api import ScfApi
from processor.http.app import Handlers
from processor.http.in_process import Api, Application
from processor.http.message import Request, Response


class Faces:
    """application: the whole API, which they call within the process."""

    def __init__(self, application: Application) -> None:
        api = Api(application)
        self._console = Console(api)
        self._lambda = LambdaApi(api)
        self._scf = ScfApi(api)

    def handlers(self, request: Request) -> Handlers | None:
        """None: the path is none of theirs."""
        match request.segments:
            case ["console", *_]:
                return dict.fromkeys(("GET", "POST"), lambda: self._console.respond(request))
            case ["2015-03-31", "functions", name, "invocations"]:
                return {"POST": lambda: self._lambda.invoke(request, name)}
            case [""]:
                return {"GET": _to_the_console, **self._actions(request)}
            case _:
                return None

    def _actions(self, request: Request) -> Handlers:
        return {"POST": lambda: self._scf.respond(request)} if SCF_ACTION in request.headers else {}


async def _to_the_console() -> Response:
    return moved("console/")
