"""An election on a real Consul, made by hand and in order, for tests to break one thing of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from consul_agents import ConsulAgent, eventually
from hand_made import record

from coord.clock import SystemClock
from coord.consul import (
    CheckStatus,
    ConsulApi,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
)
from coord.doctor import Code, Here, Report, examine
from coord.election.timing import Timing
from coord.records import LeaderState, Paths, encode_term
from coord.registration import TIMING_TOLD

FOR_EVER_S = 600.0
SOON_S = 0.05
TERM = 7
IN_ORDER = {Code.AGENT_IS_SERVER}
"""What a dev agent always gives cause for: it is a server, and candidates are beside it."""


def timing_meta(timing: Timing) -> dict[str, str]:
    """What a candidate tells of its timing."""
    told = {f"{name}_ms": str(round(getattr(timing, name) * 1000)) for name in TIMING_TOLD}
    return told | {"fenced_within_ms": str(round(timing.fenced_within * 1000))}


def ago(seconds: float) -> datetime:
    """That moment, by the wall clock."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def codes(report: Report) -> set[Code]:
    """What was found, but for what is always there."""
    return {finding.code for finding in report.findings} - IN_ORDER


def raft_index(agent: ConsulAgent) -> int:
    """How many entries Consul's log has: every write, of whatever kind, makes one."""
    return int(agent.get_json("/v1/agent/self")["Stats"]["raft"]["applied_index"])


class Ward:
    """One election, and the doctor who looks at it."""

    def __init__(self, consul: ConsulApi, paths: Paths) -> None:
        self.consul = consul
        self.paths = paths
        self.sessions: dict[str, str] = {}

    # -- what is in order --------------------------------------------------------------------

    async def sound(self) -> None:
        """core-1 leads, core-2 stands by, and discovery says so."""
        await self.candidate("core-1", state="leading", why_not="")
        await self.candidate("core-2")
        await self.leads("core-1")

    async def candidate(
        self,
        node: str,
        *,
        boot: str = "b0",
        session: bool = True,
        timing: Timing | None = None,
        state: str = "standby",
        why_not: str = "held_by_other",
        **meta: str,
    ) -> str:
        """Register a candidate with a passing check, and a session on it; returns its id."""
        service = self.paths.candidate_service
        id_ = f"{service}-{node}-{boot}"
        said = {
            "node": node,
            "node_type": "core",
            "eligible": "true",
            "election": self.paths.election,
            "boot_id": boot,
            "api": "127.0.0.1:8610",
            "state": state,
            "why_not": why_not,
        }
        said |= timing_meta(timing or Timing()) | meta
        await self._register(service, id_, f"{id_}-alive", said)
        if session:
            checks = ["serfHealth", f"{id_}-alive"]
            self.sessions[node] = await self.new_session(node, checks)
        return id_

    async def new_session(
        self,
        node: str,
        checks: list[str],
        *,
        lock_delay_s: float = 2.0,
        ttl_s: float | None = FOR_EVER_S,
        **asked: Any,
    ) -> str:
        """A session as the candidate `node` makes it, but for what is asked."""
        return await self.consul.session_create(
            name=f"{self.paths.election} candidate {node}",
            checks=checks,
            lock_delay_s=lock_delay_s,
            ttl_s=ttl_s,
            **asked,
        )

    async def leads(self, node: str, *, term: int = TERM, session: str = "", **told: Any) -> None:
        """Put the node on the key, and into discovery."""
        session = session or self.sessions[node]
        value = record(LeaderState.HELD, node, term, **({"fenced_within_ms": 2500} | told))
        await self.consul.kv_put(self.paths.leader, b"", cas=0)
        taken = await self.consul.txn(
            [
                TxnOp.kv_lock(self.paths.leader, value, session),
                TxnOp.kv_set(self.paths.term, encode_term(term), flags=2500),
            ]
        )
        assert taken.ok, taken.errors
        await self.discovered(node, term)

    async def discovered(self, node: str, term: int = TERM) -> str:
        """Register a leader's service, passing; returns its id."""
        service = self.paths.leader_service
        id_ = f"{service}-{node}-b0-{term}"
        meta = {"node": node, "node_type": "core", "term": str(term), "address": "127.0.0.1:8610"}
        await self._register(service, id_, f"{id_}-working", meta)
        return id_

    async def _register(self, service: str, id_: str, check_id: str, meta: dict[str, str]) -> None:
        check = TtlCheck(id=check_id, name=id_, ttl_s=FOR_EVER_S, status=CheckStatus.PASSING)
        await self.consul.service_register(
            ServiceRegistration(
                id=id_, name=service, port=8610, address="127.0.0.1", meta=meta, checks=(check,)
            )
        )
        await self._has(service, id_, CheckStatus.PASSING)

    async def fails(self, service: str, id_: str, check: str = "alive") -> None:
        """Fail a check, and wait until the catalog has it."""
        assert await self.consul.check_fail(f"{id_}-{check}")
        await self._has(service, id_, CheckStatus.CRITICAL)

    async def _has(self, service: str, id_: str, status: CheckStatus) -> None:
        async def seen() -> bool:
            found = (await self.consul.health_service(service)).value
            return any(i.id == id_ and i.checks and i.status is status for i in found)

        await eventually(seen)

    # -- what stands below the root ----------------------------------------------------------

    async def control(self, key: str, **fields: Any) -> None:
        """Write what an operator would ask."""
        told = {"actor": "ann", "reason": "a test", "request_id": "0123456789abcdef"}
        body = told | {"v": 1, "at": ago(0).isoformat()} | fields
        await self.consul.kv_put(key, json.dumps(body).encode())

    async def journal(
        self, number: int, node: str, *, at: datetime, event: str, **more: Any
    ) -> str:
        """Write one entry of the journal as a node would; returns its key."""
        at_ms = round(at.timestamp() * 1000)
        key = f"{self.paths.journal}{at_ms:013d}-{node}-00000000-{number:08d}"
        body = {"v": 1, "event": event, "node": node, "at_ms": at_ms} | more
        await self.consul.kv_put(key, json.dumps(body).encode())
        return key

    # -- the doctor --------------------------------------------------------------------------

    async def examine(
        self, *, timing: Timing | None = None, takes_part: bool = False, **asked: Any
    ) -> Report:
        """Examine it; reading only unless told otherwise."""
        here = Here(node="here", timing=timing or Timing(), takes_part=takes_part)
        asked = {"read_only": not asked.get("fix", False), "again_s": SOON_S} | asked
        return await examine(self.consul, self.paths, here, clock=SystemClock(), **asked)

    async def found(self, **asked: Any) -> set[Code]:
        """The codes of what an examination finds."""
        return codes(await self.examine(**asked))


class Rewriting(httpx.AsyncBaseTransport):
    """Carries requests to a real Consul, and changes the answers to one path on their way back."""

    def __init__(self, path: str, old: bytes, new: bytes) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self._path, self._old, self._new = path, old, new

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.url.path != self._path:
            return response
        body = await response.aread()
        headers = {k: v for k, v in response.headers.items() if k.lower() != "content-length"}
        changed = body.replace(self._old, self._new)
        return httpx.Response(response.status_code, headers=headers, content=changed)

    async def aclose(self) -> None:
        await self._inner.aclose()
