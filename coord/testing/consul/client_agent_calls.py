"""The calls on sessions, and on what the simulated agent keeps: services and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from coord.consul.types import (
    AgentInfo,
    CheckStatus,
    Consistency,
    HealthCheck,
    ServiceInstance,
    ServiceRegistration,
    Session,
    TtlCheck,
)
from coord.testing.consul import queries, txns
from coord.testing.consul.client_calls import Call, Calls, checked_key
from coord.testing.consul.commands import Failure, SessionCreate, SessionDestroy
from coord.testing.consul.request_desk import RequestDesk
from coord.testing.consul.rpc import Mode

LEAST_TTL_S = 10.0
MOST_TTL_S = 86400.0


class SessionCalls(Calls):
    """The part of `ConsulApi` about sessions."""

    async def session_create(
        self,
        *,
        name: str,
        checks: Sequence[str],
        lock_delay_s: float,
        node: str | None = None,
        ttl_s: float | None = None,
        behavior: str = "release",
        deadline_s: float | None = None,
    ) -> str:
        """See `ConsulApi`."""
        path = "/v1/session/create"
        wrong = None
        if behavior not in ("release", "delete"):
            wrong = f"Invalid Behavior setting '{behavior}'"
        elif ttl_s and not LEAST_TTL_S <= ttl_s <= MOST_TTL_S:
            nanoseconds = round(ttl_s * 1000) * 10**6
            wrong = f"Invalid Session TTL '{nanoseconds}', must be between [10s=24h0m0s]"
        session = Session(
            self._new_id(),
            name,
            self.agent.name if node is None else node,
            tuple(dict.fromkeys(checks)),
            round(lock_delay_s * 1000) / 1000,
            None if ttl_s is None else round(ttl_s * 1000) / 1000,
            behavior or "release",
        )
        if wrong is not None:
            refusal = Failure(500, wrong)
            call = Call(self, "PUT", path, mode=Mode.LEADER, act=lambda server: refusal)
            return str(await self._ask(call, deadline_s))
        return str(await self._write("PUT", path, SessionCreate(session), deadline_s))

    async def session_destroy(self, session_id: str, *, deadline_s: float | None = None) -> bool:
        """See `ConsulApi`."""
        path = f"/v1/session/destroy/{checked_key(session_id)}"
        return bool(await self._write("PUT", path, SessionDestroy(session_id), deadline_s))

    async def session_renew(
        self, session_id: str, *, deadline_s: float | None = None
    ) -> Session | None:
        """See `ConsulApi`."""
        path = f"/v1/session/renew/{checked_key(session_id)}"

        def renew(server: RequestDesk) -> object:
            wrong = txns.malformed(session_id)
            if wrong is not None:
                return Failure(500, wrong)
            server.start_timer(session_id)
            return server.store.sessions.get(session_id)

        call = Call(self, "PUT", path, mode=Mode.LEADER, act=renew)
        return cast("Session | None", await self._ask(call, deadline_s))

    async def session_info(
        self,
        session_id: str,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> Session | None:
        """See `ConsulApi`."""
        path = f"/v1/session/info/{checked_key(session_id)}"
        query = queries.session_info(session_id)
        found = await self._get(path, query, deadline_s, consistency=consistency)
        return cast("Session | None", found.value)

    async def session_list(self, *, deadline_s: float | None = None) -> tuple[Session, ...]:
        """See `ConsulApi`."""
        found = await self._get("/v1/session/list", queries.SESSION_LIST, deadline_s)
        return cast("tuple[Session, ...]", found.value)

    async def session_node(
        self, node: str, *, deadline_s: float | None = None
    ) -> tuple[Session, ...]:
        """See `ConsulApi`."""
        path = f"/v1/session/node/{checked_key(node)}"
        found = await self._get(path, queries.session_node(node), deadline_s)
        return cast("tuple[Session, ...]", found.value)


class AgentCalls(Calls):
    """The part of `ConsulApi` about the local agent."""

    async def agent_self(self, *, deadline_s: float | None = None) -> AgentInfo:
        """See `ConsulApi`."""
        found = await self._local(
            "GET", "/v1/agent/self", lambda a: a.info(), deadline_s, read=True
        )
        return cast("AgentInfo", found)

    async def agent_services(
        self, *, deadline_s: float | None = None
    ) -> Mapping[str, ServiceInstance]:
        """See `ConsulApi`."""
        path = "/v1/agent/services"
        found = await self._local("GET", path, lambda a: dict(a.services), deadline_s, read=True)
        return cast("Mapping[str, ServiceInstance]", found)

    async def agent_checks(self, *, deadline_s: float | None = None) -> Mapping[str, HealthCheck]:
        """See `ConsulApi`."""
        path = "/v1/agent/checks"
        found = await self._local("GET", path, lambda a: a.health_checks(), deadline_s, read=True)
        return cast("Mapping[str, HealthCheck]", found)

    async def service_register(
        self, registration: ServiceRegistration, *, deadline_s: float | None = None
    ) -> None:
        """See `ConsulApi`."""
        path = "/v1/agent/service/register"
        await self._local("PUT", path, lambda a: a.register(registration), deadline_s)

    async def service_deregister(self, service_id: str, *, deadline_s: float | None = None) -> None:
        """See `ConsulApi`."""
        path = f"/v1/agent/service/deregister/{checked_key(service_id)}"
        await self._local("PUT", path, lambda a: a.deregister(service_id), deadline_s)

    async def check_register(
        self, check: TtlCheck, *, service_id: str | None = None, deadline_s: float | None = None
    ) -> None:
        """See `ConsulApi`."""
        path = "/v1/agent/check/register"
        await self._local("PUT", path, lambda a: a.register_check(check, service_id), deadline_s)

    async def check_deregister(self, check_id: str, *, deadline_s: float | None = None) -> None:
        """See `ConsulApi`."""
        path = f"/v1/agent/check/deregister/{checked_key(check_id)}"
        await self._local("PUT", path, lambda a: a.deregister_check(check_id), deadline_s)

    async def check_pass(
        self, check_id: str, note: str = "", *, deadline_s: float | None = None
    ) -> bool:
        """See `ConsulApi`."""
        path = f"/v1/agent/check/pass/{checked_key(check_id)}"
        passing = CheckStatus.PASSING
        found = await self._local(
            "PUT", path, lambda a: a.update(check_id, passing, note), deadline_s
        )
        return cast("bool", found)

    async def check_fail(
        self, check_id: str, note: str = "", *, deadline_s: float | None = None
    ) -> bool:
        """See `ConsulApi`."""
        path = f"/v1/agent/check/fail/{checked_key(check_id)}"
        failed = CheckStatus.CRITICAL
        found = await self._local(
            "PUT", path, lambda a: a.update(check_id, failed, note), deadline_s
        )
        return cast("bool", found)
