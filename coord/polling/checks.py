"""The checks: one look at one target, with its latency and a typed error. They never raise.

Each check opens a connection of its own, so that its latency and its verdict are about reaching
the target now, not about a connection kept from before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from coord.config.values import parse_host_port
from coord.polling.check_failed import CheckFailed
from coord.polling.dialling import Dialler
from coord.polling.http_check import HttpChecks
from coord.polling.kinds import Kind
from coord.polling.networks import Networks
from coord.polling.records import (
    Check,
    CheckError,
    CheckKind,
    CheckResult,
    HttpCheck,
    OtherCheck,
    TcpCheck,
    clip,
)

_NONE: Mapping[str, Kind] = MappingProxyType({})


class MonotonicClock(Protocol):
    """What is needed of a clock: seconds that never go back."""

    def now(self) -> float: ...


class CheckRunner:
    """Runs checks. Close it.

    dialler: makes the connections; by default to anywhere.
    kinds: the kinds besides those that are built in.
    """

    def __init__(
        self,
        clock: MonotonicClock,
        *,
        dialler: Dialler | None = None,
        kinds: Mapping[str, Kind] = _NONE,
    ) -> None:
        self._clock = clock
        self._dialler = dialler or Dialler(Networks())
        self._http = HttpChecks(self._dialler)
        self._kinds = kinds

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that it runs."""
        return (*(kind.value for kind in CheckKind), *self._kinds)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def run_all(self, checks: Sequence[Check], timeout_s: float) -> tuple[CheckResult, ...]:
        """Run them at the same time, each within its own timeout and all within `timeout_s`.

        The results are in the order of the checks.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.run(check, timeout_s)) for check in checks]
        return tuple(task.result() for task in tasks)

    async def run(self, check: Check, timeout_s: float | None = None) -> CheckResult:
        """Run one check, within its own timeout or the shorter one given."""
        limit_s = check.timeout if timeout_s is None else min(check.timeout, timeout_s)
        started = self._clock.now()
        status: int | None = None
        error: CheckError | None = None
        detail = ""
        try:
            async with asyncio.timeout(limit_s):
                status = await self._run(check)
        except CheckFailed as failed:
            status, error, detail = failed.status, failed.error, failed.detail
        except TimeoutError:
            error, detail = CheckError.TIMEOUT, f"no answer within {limit_s:g} s"
        except Exception as unexpected:
            error, detail = CheckError.INTERNAL, f"{type(unexpected).__name__}: {unexpected}"
        return CheckResult(
            kind=str(check.kind),
            target=clip(check.target),
            ok=error is None,
            latency_ms=round(max(0.0, self._clock.now() - started) * 1000, 3),
            error=error,
            status=status,
            detail=clip(detail),
        )

    async def _run(self, check: Check) -> int | None:
        match check:
            case HttpCheck():
                return await self._http.run(check)
            case TcpCheck():
                await self._run_tcp(check)
            case OtherCheck():
                await self._run_other(check)
        return None

    async def _run_tcp(self, check: TcpCheck) -> None:
        where = parse_host_port(check.target)
        _, writer = await self._dialler.open(where.host, where.port)
        # Connected is the answer; how the target takes the end of it does not count.
        writer.transport.abort()

    async def _run_other(self, check: OtherCheck) -> None:
        kind = self._kinds.get(check.kind)
        if kind is None:
            has = ", ".join(self.kinds)
            raise CheckFailed(
                CheckError.UNKNOWN_KIND,
                f"this poller has {has}; what offers {check.kind} belongs into its poller_checks",
            )
        try:
            await kind.run(check)
        except (asyncio.CancelledError, SystemExit) as end:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from None
            # What a kind does to itself must end neither the other checks nor the poller.
            said = f"it ended itself: {type(end).__name__}"
            raise CheckFailed(CheckError.INTERNAL, said) from None
