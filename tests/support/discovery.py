"""Whom discovery names, looked at all the time, and whether that was the working leader."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception

from coord.consul import Consistency, ConsulApi, ConsulError
from demo.judge import WitnessReport

LOOK_S = 0.05
"""From one look to the next, in seconds."""

SWEEP_S = 1.5
"""How long a new leader may take, on a busy machine, to clear away what another left passing."""

NOTICE_S = 1.5
"""For how long the present leader may not have noticed yet that it is one no longer."""


@dataclass(frozen=True, slots=True)
class Passing:
    """A passing instance of the leader's service."""

    node: str
    term: int


@dataclass(frozen=True, slots=True)
class Look:
    """What one consistent read saw, and what DNS answered right after it.

    began, ended: CLOCK_MONOTONIC, in seconds. dns: the nodes that the name led to; None where it
    was not answered.
    """

    began: float
    ended: float
    passing: tuple[Passing, ...]
    dns: tuple[str, ...] | None


class Discovery:
    """Looks at the passing instances of a service, and at its DNS name, until it is closed.

    Args:
        consul: of an agent that the test leaves alone.
        dns_port: that agent's.
        nodes: the node at each port, by the port that it is advertised with.
    """

    def __init__(
        self,
        consul: ConsulApi,
        service: str,
        *,
        dns_host: str,
        dns_port: int,
        nodes: Mapping[int, str],
    ) -> None:
        self.looks: list[Look] = []
        self._consul = consul
        self._service = service
        self._nodes = nodes
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [dns_host]
        self._resolver.port = dns_port
        self._resolver.lifetime = 2.0

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            with contextlib.suppress(ConsulError):
                await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> Look:
        """Look once. Raises ConsulError."""
        began = time.monotonic()
        reply = await self._consul.health_service(
            self._service, passing=True, consistency=Consistency.CONSISTENT, deadline_s=2.0
        )
        ended = time.monotonic()
        passing = tuple(Passing(i.meta["node"], int(i.meta["term"])) for i in reply.value)
        look = Look(began, ended, passing, await self._ask_dns())
        self.looks.append(look)
        return look

    async def _ask_dns(self) -> tuple[str, ...] | None:
        try:
            answer = await self._resolver.resolve(f"{self._service}.service.consul", "SRV")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError):
            return None
        return tuple(self._nodes.get(record.port, f"port {record.port}") for record in answer)

    def violations(self, report: WitnessReport, *, stale_s: float) -> list[str]:
        """Every look at which discovery named somebody else than the working leader.

        stale_s: how long a leader that has stopped working may go on being named, while nobody
            else works: until its check has run out.
        """
        return [said for look in self.looks for said in _violations(look, report, stale_s=stale_s)]


def _violations(look: Look, report: WitnessReport, *, stale_s: float) -> list[str]:
    found: list[str] = []
    if len(look.passing) > 1:
        found.append(f"several at once: {look.passing}")
    if look.dns is not None and len(look.dns) > 1:
        found.append(f"several in DNS: {look.dns}")
    for passing in look.passing:
        seen = report.term(passing.term)
        if seen is None or seen.node != passing.node or look.ended < seen.first_at - SWEEP_S:
            found.append(f"{passing} never worked, or had not begun to")
            continue
        found += [
            f"{passing} while {newer.node} works in term {newer.term}"
            for newer in report.terms
            if newer.term > passing.term
            and newer.first_at + SWEEP_S < look.began
            and look.began + NOTICE_S < newer.last_at
        ]
        if _silent_for(look.began, passing.term, report) > stale_s:
            found.append(f"{passing} long after it stopped working")
    return found


def _silent_for(at: float, term: int, report: WitnessReport) -> float:
    """How long that term had not been heard of at that moment, in seconds."""
    for pause in report.pauses:
        if pause.term == term and pause.ended_at - pause.pause_s < at < pause.ended_at:
            return at - (pause.ended_at - pause.pause_s)
    seen = report.term(term)
    return at - seen.last_at if seen is not None else float("inf")
