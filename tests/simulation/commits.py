"""What lands in the simulated Consul, as entries of a history."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from coord.consul import TxnOp, TxnResult, TxnVerb
from coord.polling.store import PollPaths
from coord.records import Paths, RecordError, RequestRecord
from coord.testing import SimulatedConsul
from coord.testing.consul import commands as cmd
from tests.simulation.history import What
from tests.simulation.work import WRITES_KEY

SCHEDULES_SETTLE_S = 30.0
"""So long after the schedules were deleted or put back, a job may go without a result."""


class Commits:
    """Watches every commit, and tells of what matters.

    open_jobs: jobs that are written down, and since when (true time in seconds).
    """

    def __init__(self, consul: SimulatedConsul, paths: Paths, tell: Callable[..., None]) -> None:
        self.open_jobs: dict[str, float] = {}
        self._now = consul.scheduler.now
        self._paths = paths
        self._polls = PollPaths(paths)
        self._work_key = WRITES_KEY.format(election=paths.election)
        self._tell = tell
        self._schedules_changed = float("-inf")
        self._leaders: dict[tuple[str, str], bool] = {}
        self._hosts: dict[str, bool] = {}
        self._listed_since: float | None = None
        self._leaderless_by_then = 0.0
        self._elections = consul.elections
        self._term: int | None = None
        """What the term key says, where that is known."""
        consul.on_commit(self._commit)

    def _commit(self, index: int, command: cmd.Command, result: Any) -> None:
        match command:
            case cmd.Txn(ops):
                if isinstance(result, TxnResult) and result.ok:
                    self._txn(ops)
            case cmd.KvPut(key, value) if key == self._paths.term:
                self._term = int(value) if value.isdigit() else None
            case cmd.KvPut(key, value) if key == self._paths.request:
                self._asked(value)
            case cmd.KvPut(key) if key.startswith(self._polls.schedules):
                self._schedules_changed = self._now()
            case cmd.KvDelete(key) if key == self._paths.term:
                self._term = None
            case cmd.KvDelete(key) if self._paths.root.startswith(key):
                self._term = None
                self._schedules_changed = self._now()
                self.open_jobs.clear()
                self._tell(What.JOB, "", "forgotten", "")
            case cmd.SessionDestroy(session_id, expired):
                self._tell(What.INVALIDATED, session_id, "expired" if expired else "destroyed")
            case cmd.Register():
                self._registered(command)
            case cmd.Deregister(node, service_id):
                self._deregistered(node, service_id)
            case cmd.Restore():
                self._term = None
                self._schedules_changed = self._now()
                self.open_jobs.clear()
                self._leaders.clear()
                self._tell(What.RESTORED, "consul", index)

    def _asked(self, value: bytes) -> None:
        with contextlib.suppress(RecordError):
            asked = RequestRecord.decode(value)
            what = asked.kind.value
            self._tell(What.ORDERED, "operator", asked.request_id, asked.expected_term, what)

    # -- the election's transactions -------------------------------------------------------

    def _txn(self, ops: tuple[TxnOp, ...]) -> None:
        leader, term = self._paths.leader, self._paths.term
        self._written(ops)
        raises = any(op.key == term and op.verb is TxnVerb.CAS for op in ops)
        for op in ops:
            if op.key == leader and op.verb is TxnVerb.LOCK and raises:
                self._locked(What.ACQUIRED, op)
            elif op.key == leader and op.verb is TxnVerb.UNLOCK:
                self._locked(What.RELEASED, op)

    def _locked(self, what: What, op: TxnOp) -> None:
        try:
            record = json.loads(op.value)
        except ValueError:
            return  # an operator's
        if what is What.RELEASED and (record.get("state") != "vacant" or not record.get("by")):
            return  # an operator releases by hand, and leaves the record as it is, or as they wrote
        if what is What.ACQUIRED:
            self._term = record["term"]
            self._tell(what, record["node"], record["term"], op.session)
        else:
            self._tell(what, record["node"], record["term"], op.session, self._term)

    def _written(self, ops: tuple[TxnOp, ...]) -> None:
        """What the work wrote, fenced or not: that it is fenced must show in what lands."""
        results = {op.key for op in ops if op.key.startswith(self._polls.results)}
        for op in ops:
            if op.key == self._work_key:
                term, node, _ = op.value.decode().split()
                self._tell(What.WROTE, node, int(term), "work")
            elif op.key.startswith(self._polls.jobs):
                self._job(op, results)
            elif op.key in results and op.verb is TxnVerb.SET:
                result = json.loads(op.value)
                self._tell(What.JOB, "", "result", result["schedule"], result["due_ms"])

    def _job(self, op: TxnOp, results: set[str]) -> None:
        job = op.key.removeprefix(self._polls.jobs)
        if op.verb is TxnVerb.SET:
            record = json.loads(op.value)
            self._tell(What.WROTE, "", record["term"], f"job {job}")
            self._tell(What.JOB, "", "asked", job, record["attempt"], record["term"])
            self.open_jobs.setdefault(job, self._now())
            return
        since = self.open_jobs.pop(job, None)
        recorded = self._polls.result(job.rpartition(".")[0]) in results
        settled = self._now() - self._schedules_changed > SCHEDULES_SETTLE_S
        if since is not None and settled and not recorded:
            self._tell(What.JOB, "", "lost", job)

    # -- discovery -------------------------------------------------------------------------

    def _registered(self, command: cmd.Register) -> None:
        node, service = command.node_name, command.service
        own = (node, service.id) if service and service.name == self._paths.leader_service else None
        if own is not None:
            self._leaders.setdefault(own, True)
        for check in command.checks:
            passing = check.status.value == "passing"
            if check.check_id == "serfHealth":
                self._hosts[node] = passing
            elif (node, check.service_id) in self._leaders:
                self._leaders[node, check.service_id] = passing
        self._look_at_the_listed()

    def _look_at_the_listed(self) -> None:
        listed = [
            service_id
            for (host, service_id), passing in self._leaders.items()
            if passing and self._hosts.get(host, True)
        ]
        if len(listed) < 2:
            self._no_longer_listed()
        elif self._listed_since is None:
            self._listed_since = self._now()
            self._leaderless_by_then = self._elections.leaderless_s

    def _no_longer_listed(self) -> None:
        if self._listed_since is not None:
            leaderless_s = self._elections.leaderless_s - self._leaderless_by_then
            self._tell(What.LISTED, "consul", self._now() - self._listed_since, leaderless_s)
            self._listed_since = None

    def _deregistered(self, node: str, service_id: str | None) -> None:
        if service_id is not None:
            self._leaders.pop((node, service_id), None)
        self._look_at_the_listed()
