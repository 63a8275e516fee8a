from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from processor.core.clock import Clock
from processor.core.topics import INTAKE
from processor.dispatcher.accept import Acceptor
from processor.gateway.about import AboutRoutes
from processor.gateway.asgi import App
from processor.gateway.bulk import BulkOperations, BulkRoutes
from processor.gateway.cancel import CancelRoutes
from processor.gateway.catalog import Catalog
from processor.gateway.changes import ChangeRoutes
from processor.gateway.control import Control
from processor.gateway.event_log import EventLog
from processor.gateway.events import EventRoutes
from processor.gateway.executors import ExecutorRoutes, Executors
from processor.gateway.fleet import Fleet
from processor.gateway.functions import FunctionRoutes
from processor.gateway.health import HealthRoutes
from processor.gateway.history import AsyncHistory
from processor.gateway.invoke import Invocations
from processor.gateway.live import LiveHub
from processor.gateway.log_search import LogSearchRoutes
from processor.gateway.outcome import Outcomes
from processor.gateway.overview import Overview, OverviewRoutes
from processor.gateway.presence import Presence
from processor.gateway.queues import QueueDepths, QueueRoutes, Queues
from processor.gateway.recent import RecentRuns
from processor.gateway.rejected import RejectedRoutes
from processor.gateway.rejected_log import RejectedLog
from processor.gateway.replay import ReplayRoutes, Replays
from processor.gateway.rest import RunRoutes
from processor.gateway.routes import Route
from processor.gateway.runs import Runs
from processor.gateway.triggers import TriggerRoutes
from processor.gateway.undispatched import Undispatched
from processor.http.idempotency import IdempotencyKeys
from processor.http.once import OnceAcceptor
from processor.http.server import Address, Server, url_of
from processor.recorder.store import HistoryStore
from processor.registry.code_store import CodeStore
from processor.registry.registry import Registry
from processor.registry.trigger_board import TriggerBoard
from processor.transport.abstract import Transport, UnknownTopic

#: Requests under way get this long to finish once the gateway stops.
DRAIN_SEC = 10
_LOOKUP_LIMIT_SEC = 10.0


class Gateway:
    """The HTTP API. Everything of it runs on the event loop that `start` is called on, beside whatever else runs there;
    reads of the history and deploys take worker threads.

    about: settings that people may see (/v1/about).

    registry and code serve deploys; they are started and stopped by whoever made them.
    Stop order: health says draining, followers are told, connections are finished, then tails, appender, threads.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        store: HistoryStore,
        registry: Registry,
        code: CodeStore,
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = 8787,
        about: Mapping[str, str] | None = None,
        drain_sec: int = DRAIN_SEC,
    ) -> None:
        self._transport = transport
        self._appender = transport.appender()
        self._clock = clock
        self._catalog = Catalog(transport)
        self._presence = Presence(self._appender, clock)
        self._fleet = Fleet(transport, clock, self._presence.process)
        self._board = TriggerBoard(transport, clock)
        self._rejected = RejectedLog(transport, clock)
        self._hub = LiveHub(transport)
        self._events = EventLog(transport, clock)
        self._bulk: BulkOperations | None = None
        self._history = AsyncHistory(store)
        self._about = AboutRoutes(about or {}, self._presence.process)
        self._registry = registry
        self._code = code
        self._address = Address(host=host, port=port, owner="the gateway", setting="HEADRACE_GATEWAY__PORT")
        self._drain_sec = drain_sec
        self._app: App | None = None
        self._server: Server | None = None
        self._stopping = False
        self._stopped = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it listens; the real port also when it was told to take any (0)."""
        host, port = self._address.host, self._address.port
        return url_of((host, port) if self._server is None else self._server.address)

    async def start(self) -> None:
        """Returns when requests are answered; those that need the functions are ready a moment later (/readyz).
        Raises AddressInUse, UnknownTopic, TransportUnavailable.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def ready(self) -> None:
        """Returns when every request can be served."""
        await self._catalog.caught_up.wait()

    async def serve(self) -> None:
        """Returns when the gateway has stopped."""
        await self._stopped.wait()

    async def stop(self) -> None:
        """Finishes what is under way, within drain_sec and some seconds more. A second call waits for the first."""
        if self._stopping:
            await self._stopped.wait()
            return
        self._stopping = True
        if self._app is not None:
            self._app.draining = True
        self._hub.close_followers()
        if self._bulk is not None:
            await self._bulk.stop()
        if self._server is not None:
            await self._server.stop()
        await self._hub.stop()
        await self._catalog.stop()
        await self._fleet.stop()
        await self._board.stop()
        await self._rejected.stop()
        await self._presence.stop()
        await self._appender.stop()
        await asyncio.to_thread(self._history.close)
        await asyncio.to_thread(self._events.close)
        self._stopped.set()

    def kill(self) -> None:
        """Now: drops the requests under way. A `stop` that is waiting returns soon."""
        if self._server is not None:
            self._server.kill()

    async def _start(self) -> None:
        partitions = await asyncio.to_thread(self._intake_partitions)
        await self._appender.start()
        self._app = self._assemble(partitions)
        self._server = Server(self._app, self._address, drain_sec=self._drain_sec)
        await self._server.start()
        self._catalog.start()
        self._fleet.start()
        self._presence.start()
        self._board.begin()

    def _assemble(self, intake_partitions: int) -> App:
        acceptor = Acceptor(
            functions=self._catalog.find,
            appender=self._appender,
            clock=self._clock,
            intake_partitions=intake_partitions,
            live_gateways=self._fleet.live_gateways,
        )
        recent = RecentRuns()
        runs = Runs(history=self._history, recent=recent, hub=self._hub, why_waits=self._why_waits)
        cancel = CancelRoutes(
            runs=runs,
            undispatched=Undispatched(self._transport, self._clock, intake_partitions),
            appender=self._appender,
        )
        run_routes = RunRoutes(runs=runs, history=self._history, hub=self._hub, clock=self._clock)
        return App(
            invocations=Invocations(
                acceptor=acceptor,
                once=OnceAcceptor(acceptor, IdempotencyKeys(self._clock)),
                recent=recent,
                outcomes=Outcomes(runs),
                clock=self._clock,
            ),
            events=EventRoutes(catalog=self._catalog, acceptor=acceptor, recent=recent, clock=self._clock),
            runs=run_routes,
            changes=ChangeRoutes(transport=self._transport, hub=self._hub, clock=self._clock),
            health=HealthRoutes(self._missing),
            control=Control(
                [
                    *run_routes.routes(),
                    *cancel.routes(),
                    *self._steering(runs, cancel, acceptor, recent),
                    *self._sources(acceptor, intake_partitions),
                    *self._looks(runs),
                ]
            ),
        )

    def _steering(self, runs: Runs, cancel: CancelRoutes, acceptor: Acceptor, recent: RecentRuns) -> Iterable[Route]:
        replays = Replays(
            catalog=self._catalog, acceptor=acceptor, events=self._events, recent=recent, clock=self._clock
        )
        self._bulk = BulkOperations(runs=runs, cancel=cancel, replays=replays, clock=self._clock)
        return [*ReplayRoutes(runs=runs, replays=replays).routes(), *BulkRoutes(self._bulk).routes()]

    def _sources(self, acceptor: Acceptor, intake_partitions: int) -> Iterable[Route]:
        triggers = TriggerRoutes(catalog=self._catalog, board=self._board, appender=self._appender, clock=self._clock)
        rejected = RejectedRoutes(
            log=self._rejected,
            board=self._board,
            acceptor=acceptor,
            appender=self._appender,
            clock=self._clock,
            intake_partitions=intake_partitions,
        )
        return [*triggers.routes(), *rejected.routes()]

    def _looks(self, runs: Runs) -> Iterable[Route]:
        queues = Queues(
            catalog=self._catalog,
            depths=QueueDepths(self._transport),
            history=self._history,
            why_waits=self._why_waits,
            clock=self._clock,
        )
        functions = FunctionRoutes(catalog=self._catalog, registry=self._registry, code=self._code, queues=queues)
        executors = Executors(fleet=self._fleet, history=self._history, clock=self._clock)
        overview = Overview(history=self._history, runs=runs, fleet=self._fleet, board=self._board, clock=self._clock)
        return [
            *functions.routes(),
            *QueueRoutes(queues).routes(),
            *ExecutorRoutes(executors, self._appender).routes(),
            *OverviewRoutes(overview, self._clock).routes(),
            *self._about.routes(),
            *LogSearchRoutes(self._history, self._clock).routes(),
        ]

    def _why_waits(self, name: str) -> str | None:
        function = self._catalog.find(name)
        return None if function is None else self._fleet.why_waits(function)

    def _missing(self) -> list[str]:
        if self._app is not None and self._app.draining:
            return ["the gateway is stopping"]
        if not self._catalog.caught_up.is_set():
            return ["the functions have not been read to their end yet"]
        return []

    def _intake_partitions(self) -> int:
        topics = self._transport.admin().topics(_LOOKUP_LIMIT_SEC)
        if INTAKE.name not in topics:
            raise UnknownTopic(f"the topic {INTAKE.name!r} does not exist")
        return topics[INTAKE.name]
