"""How a call on the simulated Consul is made: there, back, and its deadline."""

from __future__ import annotations

import asyncio
import functools
import random
import uuid
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from coord.consul import replies
from coord.consul.calls import REQUEST_TIMEOUT_S, WAIT_S
from coord.consul.errors import ConsulError, ConsulUnavailable
from coord.consul.keys import check_key, check_prefix
from coord.consul.transport import Answer, Request
from coord.consul.types import Consistency
from coord.testing.consul.agent import LocalCall, SimulatedAgent
from coord.testing.consul.commands import Command, Failure
from coord.testing.consul.queries import Query
from coord.testing.consul.request_desk import RequestDesk
from coord.testing.consul.rpc import Mode

checked_key: Final = functools.lru_cache(maxsize=4096)(check_key)
checked_prefix: Final = functools.lru_cache(maxsize=4096)(check_prefix)

MODES: Final = {
    Consistency.DEFAULT: Mode.DEFAULT,
    Consistency.CONSISTENT: Mode.CONSISTENT,
    Consistency.STALE: Mode.STALE,
}
_REFUSED: Final = object()
_RESET: Final = object()


class Call(LocalCall):
    """One call of a client.

    method, path: what `ConsulClient` would ask; errors name it.
    read: nothing changes by it.
    local: what the agent does, when it needs no server.
    """

    __slots__ = ("_client", "future", "local", "method", "path", "read")

    def __init__(
        self,
        client: Calls,
        method: str,
        path: str,
        *,
        read: bool = False,
        local: Callable[[SimulatedAgent], object] | None = None,
        mode: Mode = Mode.DEFAULT,
        command: Command | None = None,
        query: Query | None = None,
        act: Callable[[RequestDesk], object] | None = None,
        min_index: int = 0,
        wait_s: float = 0.0,
    ) -> None:
        self._client = client
        self.method = method
        self.path = path
        self.read = read
        self.local = local
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.agent = client.agent
        self.mode = mode
        self.command = command
        self.query = query
        self.act = act
        self.min_index = min_index
        self.wait_s = wait_s
        self.life = 0
        self.started = 0.0

    def arrive(self) -> None:
        """The agent's machine gets the request."""
        agent = self.agent
        if not agent.running:
            self._client.down.send(partial(self._land, _REFUSED))
        elif agent.frozen:
            agent.later(self.arrive)
        elif self.local is not None:
            if agent.sync.busy:
                agent.waits(self)
            else:
                self.carry_out()
        else:
            agent.ask(self)

    def carry_out(self) -> None:
        """What it keeps is free: the agent does it, and if something is new, writes that first."""
        agent = self.agent
        assert self.local is not None
        outcome = self.local(agent)
        if self.read or not agent.sync.dirty or outcome.__class__ is Failure or outcome is False:
            self._client.down.send(partial(self._land, outcome))
        else:
            agent.write_first(self, outcome)

    def finish(self, outcome: object) -> None:
        """See `Rpc`."""
        self._client.down.send(partial(self._land, outcome))

    def broken(self) -> None:
        """See `Rpc`."""
        self._client.down.send(partial(self._land, _RESET))

    def expire(self, deadline_s: float) -> None:
        """The deadline has come; too late if there is an answer."""
        if not self.future.done() and not self._client.dead:
            self._fail(f"no answer within {deadline_s:g} s", not self.read)

    def _land(self, outcome: object) -> None:
        """The asker has the answer, if he still waits for it."""
        future = self.future
        if future.done() or self._client.dead:
            return
        if outcome.__class__ is Failure:
            future.set_exception(self._error(outcome))
        elif outcome is _REFUSED:
            self._fail("cannot connect: connection refused", False)
        elif outcome is _RESET:
            self._fail("the connection was closed", not self.read)
        else:
            future.set_result(outcome)

    def _fail(self, detail: str, unknown: bool) -> None:
        operation = f"{self.method} {self.path}"
        error = ConsulUnavailable(operation, detail, outcome_unknown=unknown)
        self.future.set_exception(error)

    def _error(self, failure: Failure) -> ConsulError:
        request = Request(self.method, self.path, read=self.read)
        return replies.refusal(request, Answer(failure.status, {}, failure.text.encode()))


class Calls:
    """A process's way to one agent.

    Attributes:
        dead: the process has ended: nobody is answered any more.
    """

    def __init__(
        self,
        agent: SimulatedAgent,
        source: str,
        *,
        clock_rate: float = 1.0,
        request_timeout_s: float | None = None,
    ) -> None:
        self.agent = agent
        self.source = source
        self.clock_rate = clock_rate
        network = agent.network
        self.up = network.link(source, agent.endpoint)
        self.down = network.link(agent.endpoint, source)
        self.dead = False
        self._timeout_s = REQUEST_TIMEOUT_S if request_timeout_s is None else request_timeout_s
        if self._timeout_s <= 0:
            raise ValueError("request_timeout_s: must be above 0")
        self._scheduler = agent.scheduler
        self._rng: random.Random = agent.rng
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def token_changes(self) -> int:
        """A simulated Consul asks for no token."""
        return 0

    async def aclose(self) -> None:
        """Close every connection; calls afterwards fail."""
        self.close()

    def close(self) -> None:
        """As `aclose`, for who cannot await."""
        self._closed = True

    def kill(self) -> None:
        """The process has ended: nobody is answered any more; what was sent still arrives."""
        self.dead = True

    async def _ask(self, call: Call, deadline_s: float | None) -> Any:
        if self._closed:
            raise ConsulUnavailable(f"{call.method} {call.path}", "the client is closed")
        limit_s = self._timeout_s if deadline_s is None else deadline_s
        if call.min_index:
            # Consul adds up to a sixteenth to every wait.
            limit_s += call.wait_s + call.wait_s / 16
        scheduler = self._scheduler
        when = scheduler.now() + limit_s / self.clock_rate
        timer = scheduler.at(when, partial(call.expire, limit_s))
        try:
            self.up.send(call.arrive)
            return await call.future
        finally:
            timer.cancel()

    async def _local(
        self,
        method: str,
        path: str,
        local: Callable[[SimulatedAgent], object],
        deadline_s: float | None,
        *,
        read: bool = False,
    ) -> Any:
        return await self._ask(Call(self, method, path, read=read, local=local), deadline_s)

    async def _write(
        self, method: str, path: str, command: Command, deadline_s: float | None
    ) -> Any:
        call = Call(self, method, path, mode=Mode.WRITE, command=command)
        return await self._ask(call, deadline_s)

    async def _get(
        self,
        path: str,
        query: Query,
        deadline_s: float | None,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        index: int | None = None,
        wait_s: float | None = None,
    ) -> Any:
        call = Call(
            self,
            "GET",
            path,
            read=True,
            mode=MODES[consistency],
            query=query,
            min_index=index or 0,
            wait_s=WAIT_S if wait_s is None else wait_s,
        )
        return await self._ask(call, deadline_s)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
