"""A TTL check as the agent that keeps it knows it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from coord.consul.types import CheckStatus, HealthCheck, ServiceInstance, TtlCheck

if TYPE_CHECKING:
    from coord.testing.consul.agent import SimulatedAgent

LEAST_REAP_S: Final = 60.0


class LocalCheck:
    """One TTL check. Passing it costs nothing but a note of until when it is good.

    Attributes:
        reported: what was last said of it, and until when that counts if the agent restarts.
        deferred: a new output is not told to the servers yet.
    """

    __slots__ = (
        "_agent",
        "_armed",
        "_critical_since",
        "_expires_at",
        "_kept_until",
        "_said",
        "_stopped",
        "check",
        "deferred",
        "health",
        "reported",
    )

    def __init__(
        self,
        agent: SimulatedAgent,
        check: TtlCheck,
        service: ServiceInstance | None,
        known: LocalCheck | None,
    ) -> None:
        self._agent = agent
        self.check = check
        self.health: HealthCheck = HealthCheck(
            agent.name,
            check.id,
            check.name,
            known.health.status if known else check.status,
            known.health.output if known else "",
            check.notes,
            service.id if service else "",
            service.name if service else "",
        )
        self.reported: CheckStatus | None = known.reported if known else None
        self._said: str = known._said if known else ""
        self._kept_until: float = known._kept_until if known else 0.0
        self._critical_since: float | None = None
        self.deferred = False
        self._stopped = False
        self._armed = False
        self._expires_at = 0.0
        self._start_ttl()

    @property
    def service_id(self) -> str:
        """Whose check it is; "" for the node's."""
        return self.health.service_id

    @property
    def _ttl_s(self) -> float:
        return self.check.ttl_s / self._agent.clock_rate

    def report(self, status: CheckStatus, output: str) -> None:
        """What its owner says of it: counts for one TTL."""
        self.reported, self._said = status, output
        self._update(status, output)
        self._start_ttl()
        self._kept_until = self._expires_at

    def stop(self) -> None:
        """It is gone, or its agent is."""
        self._stopped = True

    def restore(self) -> None:
        """The agent has started again with what it kept: as last reported, if that still counts."""
        self._stopped = False
        self.deferred = False
        counts = self.reported is not None and self._kept_until > self._agent.scheduler.now()
        status = self.reported if counts and self.reported else CheckStatus.CRITICAL
        if not counts:
            self.reported = None
        self._critical_since = None
        self._set(status, self._said if counts else "")
        self._armed = False
        self._start_ttl()

    def is_to_be_reaped(self) -> bool:
        """Whether it has been critical for so long that its service is to go."""
        limit_s = self.check.deregister_critical_after_s
        if limit_s is None or self._critical_since is None:
            return False
        critical_s = (self._agent.scheduler.now() - self._critical_since) * self._agent.clock_rate
        return critical_s > max(limit_s, LEAST_REAP_S)

    def _start_ttl(self) -> None:
        now = self._agent.scheduler.now()
        self._expires_at = now + self._ttl_s
        if not self._armed:
            self._armed = True
            self._agent.scheduler.at(self._expires_at, partial(self._fire, self._agent.life))

    def _fire(self, life: int) -> None:
        agent = self._agent
        if life != agent.life or self._stopped or agent.later(partial(self._fire, life)):
            return
        if self._expires_at > agent.scheduler.now():
            agent.scheduler.at(self._expires_at, partial(self._fire, life))
            return
        agent.sync.when_free(self._run_out)

    def _run_out(self) -> None:
        self._armed = False
        if self._expires_at > self._agent.scheduler.now():
            # Passed while it waited for that.
            self._start_ttl()
            return
        said = f" (last output before timeout follows): {self._said}" if self._said else ""
        self._update(CheckStatus.CRITICAL, f"TTL expired{said}")

    def _update(self, status: CheckStatus, output: str) -> None:
        if status is not CheckStatus.CRITICAL:
            self._critical_since = None
        elif self._critical_since is None:
            self._critical_since = self._agent.scheduler.now()
        health = self.health
        if health.status is status:
            if health.output != output:
                self._set(status, output)
                self.deferred = True
                self._agent.sync.note_changed(self.check.id)
            return
        self._set(status, output)
        self._agent.sync.check_changed(self.check.id)

    def _set(self, status: CheckStatus, output: str) -> None:
        old = self.health
        self.health = HealthCheck(
            old.node,
            old.check_id,
            old.name,
            status,
            output,
            old.notes,
            old.service_id,
            old.service_name,
        )
