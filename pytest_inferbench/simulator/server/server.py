"""
The simulated server: routes, its life from start to end, and what it does when it goes wrong.

Rule: one thread, one event loop. Whatever goes wrong on purpose was decided by `faults`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import orjson

from pytest_inferbench.simulator.batching import Batcher
from pytest_inferbench.simulator.gpus import PATH as GPUS_PATH
from pytest_inferbench.simulator.gpus import BatchState, gpu_readings, gpus_json, out_of_memory
from pytest_inferbench.simulator.kv_cache import context_tokens
from pytest_inferbench.simulator.server import exposition, refusals
from pytest_inferbench.simulator.server.alarm import alarm
from pytest_inferbench.simulator.server.answering import TEXT_APIS, Answering
from pytest_inferbench.simulator.server.asking import Refused
from pytest_inferbench.simulator.server.connection import Connection, Exchange, Request
from pytest_inferbench.simulator.server.figures import Figures
from pytest_inferbench.simulator.server.gathered import KINDS
from pytest_inferbench.simulator.server.pacer import Pacer
from pytest_inferbench.simulator.server.pages import HEALTH, OWNER, PAGES, Facts, health
from pytest_inferbench.simulator.server.settings import Settings
from pytest_inferbench.simulator.server.tokens import numbers, vocabulary

METRICS = frozenset({"/metrics", "/v1/metrics", "/prometheus/metrics"})
RESETS = frozenset({"/reset_prefix_cache", "/flush_cache"})
_LOOK_EVERY_S = 0.1
_BUSY_WINDOW_S = 0.05

Reply = tuple[int, object]


class Crashed(Exception):
    """The server ends because it was to; says in which words."""


class SimulatedServer:
    """
    A server that listens, answers, and ends.

    Raises:
        DoesNotFit: the model does not fit on the hardware.
    """

    def __init__(self, settings: Settings) -> None:
        deployment = settings.deployment
        self.figures = Figures()
        self.facts = Facts(
            engine=deployment.engine.name,
            model=settings.model,
            hub=deployment.model.hub,
            hardware=deployment.accelerator.name,
            tensor_parallel=deployment.tensor_parallel,
            context_tokens=context_tokens(deployment),
            running_max=deployment.engine.max_running,
            version=settings.version,
            created_s=int(datetime.now(tz=UTC).timestamp()),
        )
        self._settings = settings
        self._ready_s: float | None = None
        self._answered = 0
        self._busy = (0.0, 0.0, 0.0)
        self._connections: set[Connection] = set()
        self._over: asyncio.Future[None] | None = None
        factor = settings.faults.step_factor
        self.pacer = Pacer(
            Batcher(deployment),
            self.figures,
            clock=monotonic,
            factor=lambda at_s: factor(self._elapsed_s(at_s)),
            step_s=settings.step_s,
        )
        self._answering = Answering(self.facts, self.pacer, self.figures, settings, ended=self._count_answer)

    # -- its life

    async def serve(self, listener: socket.socket, *, ready: Callable[[], None]) -> None:
        """
        Serve on a bound socket until `stop`; ``ready`` is called when it is.

        Raises:
            Crashed: a fault ended it.
            Exception: a mistake of its own, whatever it is.
        """
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        loop.set_exception_handler(self._broke)
        bell = alarm(loop, self.pacer.wake)
        self.pacer.use(bell)
        numbers(vocabulary())
        server = await loop.create_server(self.connection, sock=listener, backlog=4096)
        starting = loop.create_task(self._start(ready))
        try:
            await self._over
        finally:
            starting.cancel()
            bell.close()
            server.close()
            for connection in list(self._connections):
                connection.reset()

    def stop(self, error: Exception | None = None) -> None:
        """End; with an error where it is to end with one."""
        if self._over is not None and not self._over.done():
            if error is None:
                self._over.set_result(None)
            else:
                self._over.set_exception(error)

    def connection(self) -> Connection:
        """Take a client."""
        return Connection(self.handle, server=f"{OWNER}/{self.facts.version}", opened=self._opened)

    async def _start(self, ready: Callable[[], None]) -> None:
        fault = self._settings.faults.at_start()
        if fault.never:
            return
        await asyncio.sleep(self._settings.start_s + fault.delay_s)
        self._ready_s = monotonic()
        ready()
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self._look()

    def _look(self) -> None:
        """End where a fault wants it by now."""
        elapsed_s = self._elapsed_s(monotonic())
        faults = self._settings.faults
        if faults.crash_due(self._answered, elapsed_s):
            self.stop(Crashed(f"crashed on demand after {self._answered} requests and {elapsed_s:.1f} s (simulated)"))
        words = out_of_memory(self._settings.deployment, faults=faults, elapsed_s=elapsed_s)
        if words is not None:
            self.stop(Crashed(words))

    def _broke(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End with a mistake of the server's own: half a batch that goes on would give figures that look like any others."""
        loop.default_exception_handler(context)
        error = context.get("exception")
        if isinstance(error, Exception):
            self.stop(error)

    def _opened(self, connection: Connection, *, is_open: bool) -> None:
        (self._connections.add if is_open else self._connections.discard)(connection)
        self.pacer.catch_up()

    def _count_answer(self) -> None:
        self._answered += 1
        if self._settings.faults.crash_after_requests is not None:
            self._look()

    def _elapsed_s(self, at_s: float) -> float:
        return 0.0 if self._ready_s is None else max(0.0, at_s - self._ready_s)

    # -- requests

    def handle(self, request: Request, connection: Connection) -> Exchange | None:
        """Answer a request, or begin to."""
        self.pacer.catch_up()
        try:
            return self._handle(request, connection)
        except Refused as refused:
            status, body = refusals.refusal(self.facts.engine, refused)
            wait_s = refused.retry_after_s
            connection.reply(status, body, headers="" if wait_s is None else f"retry-after: {wait_s:g}\r\n")
        return None

    def _handle(self, request: Request, connection: Connection) -> Exchange | None:
        path = request.path
        if self._ready_s is None:
            raise Refused(503, "the model is being loaded (simulated)", kind="loading")
        text = TEXT_APIS.get(path)
        if text is not None and text.engine in {None, self.facts.engine}:
            _only(request, "POST")
            return self._answering.text(text, request, connection)
        if path in KINDS:
            _only(request, "POST")
            return self._answering.gathered(KINDS[path], request, connection)
        if path in METRICS:
            connection.reply(200, self.metrics().encode(), content_type=exposition.CONTENT_TYPE)
            return None
        status, body = self._page(request)
        connection.reply(status, orjson.dumps(body))
        return None

    def _page(self, request: Request) -> Reply:
        """Whatever is known at once."""
        path = request.path
        if path in HEALTH:
            return 200, health(self.facts)
        if path in PAGES:
            return 200, PAGES[path](self.facts)
        if path == GPUS_PATH:
            return 200, self.gpus()
        if path in {"/tokenize", "/detokenize"}:
            _only(request, "POST")
            return 200, self._answering.tokenized(request) if path == "/tokenize" else self._answering.detokenized(request)
        if path in RESETS:
            _only(request, "POST")
            return self._reset_cache(path)
        raise Refused(404, f"there is nothing at {path}", kind="path")

    def _reset_cache(self, path: str) -> Reply:
        done = self.pacer.batcher.reset_prefix_cache()
        if path == "/flush_cache":
            return (200 if done else 400), {"success": done}
        return 200, {"success": done}

    def metrics(self) -> str:
        """What ``/metrics`` says."""
        state = exposition.State(figures=self.figures, batcher=self.pacer.batcher, info=self.facts.labels, model=self.facts.model)
        return exposition.exposition(self.facts.engine, state)

    def gpus(self) -> object:
        """What the simulated GPUs say of themselves."""
        batcher, now_s = self.pacer.batcher, monotonic()
        state = BatchState(running=batcher.running, kv_usage=batcher.kv_usage, busy_share=self._busy_share(now_s))
        deployment, faults = self._settings.deployment, self._settings.faults
        return gpus_json(gpu_readings(deployment, state, faults=faults, elapsed_s=self._elapsed_s(now_s)))

    def _busy_share(self, now_s: float) -> float:
        """The share of the time since it was asked last in which a step ran."""
        asked_s, busy_s, share = self._busy
        if now_s - asked_s < _BUSY_WINDOW_S:
            return share
        share = min(1.0, (self.pacer.busy_s - busy_s) / (now_s - asked_s))
        self._busy = (now_s, self.pacer.busy_s, share)
        return share


def _only(request: Request, method: str) -> None:
    if request.method != method:
        raise Refused(405, f"{request.path} takes {method} only", kind="method")
