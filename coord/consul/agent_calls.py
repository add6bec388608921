"""The calls on sessions, and on what the local agent keeps: services and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coord.consul import replies
from coord.consul.calls import Calls, duration
from coord.consul.errors import ConsulNotFound
from coord.consul.keys import check_key
from coord.consul.types import (
    AgentInfo,
    Consistency,
    HealthCheck,
    ServiceInstance,
    ServiceRegistration,
    Session,
    TtlCheck,
)


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
        # By hand: python-consul2 knows `Checks` only. Consul 1.7 split that into NodeChecks and
        # ServiceChecks and deprecated it; `Checks` still adds to NodeChecks, which defaults to
        # serfHealth, so a full list can only be given in the new fields. The servers merge all
        # three into one list of ids, so that a service's check in NodeChecks counts as well.
        body: dict[str, object] = {
            "Name": name,
            "NodeChecks": list(checks),
            "LockDelay": duration(lock_delay_s),
            "Behavior": behavior,
        }
        if node is not None:
            body["Node"] = node
        if ttl_s is not None:
            body["TTL"] = duration(ttl_s)
        request = self._put_json("/v1/session/create", body)
        return await self._write(request, deadline_s, replies.session_id)

    async def session_destroy(self, session_id: str, *, deadline_s: float | None = None) -> bool:
        """See `ConsulApi`."""
        request = self._endpoints.session.destroy(check_key(session_id))
        return await self._write(request, deadline_s, replies.boolean)

    async def session_renew(
        self, session_id: str, *, deadline_s: float | None = None
    ) -> Session | None:
        """See `ConsulApi`."""
        request = self._endpoints.session.renew(check_key(session_id))
        try:
            found = await self._write(request, deadline_s, _sessions)
        except ConsulNotFound:
            return None
        return found[0] if found else None

    async def session_info(
        self,
        session_id: str,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> Session | None:
        """See `ConsulApi`."""
        request = self._endpoints.session.info(check_key(session_id), consistency=consistency.value)
        found = (await self._get(request, deadline_s, _sessions)).value
        return found[0] if found else None

    async def session_list(self, *, deadline_s: float | None = None) -> tuple[Session, ...]:
        """See `ConsulApi`."""
        return (await self._get(self._endpoints.session.list(), deadline_s, _sessions)).value

    async def session_node(
        self, node: str, *, deadline_s: float | None = None
    ) -> tuple[Session, ...]:
        """See `ConsulApi`."""
        request = self._endpoints.session.node(check_key(node))
        return (await self._get(request, deadline_s, _sessions)).value


class AgentCalls(Calls):
    """The part of `ConsulApi` about the local agent."""

    async def agent_self(self, *, deadline_s: float | None = None) -> AgentInfo:
        """See `ConsulApi`."""
        return (await self._get(self._endpoints.agent.self(), deadline_s, replies.agent_info)).value

    async def agent_services(
        self, *, deadline_s: float | None = None
    ) -> Mapping[str, ServiceInstance]:
        """See `ConsulApi`."""
        request = self._endpoints.agent.services()
        return (await self._get(request, deadline_s, _agent_services)).value

    async def agent_checks(self, *, deadline_s: float | None = None) -> Mapping[str, HealthCheck]:
        """See `ConsulApi`."""
        return (await self._get(self._endpoints.agent.checks(), deadline_s, _agent_checks)).value

    async def service_register(
        self, registration: ServiceRegistration, *, deadline_s: float | None = None
    ) -> None:
        """See `ConsulApi`."""
        # By hand: python-consul2's takes a single check, and no id for it.
        body = {
            "ID": registration.id,
            "Name": registration.name,
            "Port": registration.port,
            "Address": registration.address,
            "Tags": list(registration.tags),
            "Meta": dict(registration.meta),
            "Checks": [_check(c) for c in registration.checks],
        }
        await self._do(self._put_json("/v1/agent/service/register", body), deadline_s)

    async def service_deregister(self, service_id: str, *, deadline_s: float | None = None) -> None:
        """See `ConsulApi`."""
        request = self._endpoints.agent.service.deregister(check_key(service_id))
        await self._known_here(request, deadline_s)

    async def check_register(
        self, check: TtlCheck, *, service_id: str | None = None, deadline_s: float | None = None
    ) -> None:
        """See `ConsulApi`."""
        body = _check(check)
        # Within a service's registration the same field is called CheckID.
        body["ID"] = body.pop("CheckID")
        if service_id is not None:
            body["ServiceID"] = service_id
        await self._do(self._put_json("/v1/agent/check/register", body), deadline_s)

    async def check_deregister(self, check_id: str, *, deadline_s: float | None = None) -> None:
        """See `ConsulApi`."""
        request = self._endpoints.agent.check.deregister(check_key(check_id))
        await self._known_here(request, deadline_s)

    async def check_pass(
        self, check_id: str, note: str = "", *, deadline_s: float | None = None
    ) -> bool:
        """See `ConsulApi`."""
        request = self._endpoints.agent.check.ttl_pass(check_key(check_id), note)
        return await self._known_here(request, deadline_s)

    async def check_fail(
        self, check_id: str, note: str = "", *, deadline_s: float | None = None
    ) -> bool:
        """See `ConsulApi`."""
        request = self._endpoints.agent.check.ttl_fail(check_key(check_id), note)
        return await self._known_here(request, deadline_s)


def _check(check: TtlCheck) -> dict[str, object]:
    body: dict[str, object] = {
        "CheckID": check.id,
        "Name": check.name,
        "TTL": duration(check.ttl_s),
        "Notes": check.notes,
        "Status": check.status.value,
    }
    if check.deregister_critical_after_s is not None:
        body["DeregisterCriticalServiceAfter"] = duration(check.deregister_critical_after_s)
    return body


def _sessions(value: object) -> tuple[Session, ...]:
    return replies.listed(value, replies.session, "the body")


def _agent_services(value: object) -> dict[str, ServiceInstance]:
    return replies.named(value, replies.agent_service, "the body")


def _agent_checks(value: object) -> dict[str, HealthCheck]:
    return replies.named(value, replies.check, "the body")
