"""Where everything of polling lives in Consul."""

from __future__ import annotations

from dataclasses import dataclass

from coord.records import Paths, check_name


@dataclass(frozen=True, slots=True)
class PollPaths:
    """The keys of polling, all under ``polls/`` of one election."""

    paths: Paths

    @property
    def schedules(self) -> str:
        """Prefix of the schedules, which operators write."""
        return self.paths.polls + "schedules/"

    @property
    def jobs(self) -> str:
        """Prefix of the open jobs, which the leader writes."""
        return self.paths.polls + "jobs/"

    @property
    def results(self) -> str:
        """Prefix of the last results, which the leader writes."""
        return self.paths.polls + "results/"

    @property
    def asked(self) -> str:
        """Prefix of the requests for a run, which operators write. There is always a key of this
        very name while somebody leads, so that a watch on those below sleeps."""
        return self.paths.polls + "asked/"

    @property
    def state(self) -> str:
        """What the leader found at takeover."""
        return self.paths.polls + "state"

    @property
    def sequence(self) -> str:
        """What every batch of the leader's writes changes: see `writer`."""
        return self.paths.polls + "sequence"

    def schedule(self, schedule_id: str) -> str:
        return self.schedules + check_name("schedule", schedule_id)

    def ask(self, schedule_id: str) -> str:
        return self.asked + check_name("schedule", schedule_id)

    def job(self, job_id: str) -> str:
        return self.jobs + check_name("job", job_id)

    def result(self, schedule_id: str) -> str:
        return self.results + check_name("schedule", schedule_id)
