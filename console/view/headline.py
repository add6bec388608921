"""Who leads, or that nobody does: what the eye is to meet first; and what stands above it."""

from __future__ import annotations

from collections.abc import Iterator

from console.snapshot import Snapshot
from console.view.line import LONG, Line, Span, Tone, foreign, joined, line
from coord.consul import CheckStatus, ConsulError, ConsulNotPermitted, ConsulUnavailable
from coord.history import Tenure
from coord.status import ClusterStatus, Condition, LeaderStatus, Member, Seen
from coord.status.rows import leading_member
from coord.status.text import health_words, vacancy, why_vacant
from coord.status.words import OLD, ago, duration, ms_of, plain, span

CHECKS = {
    CheckStatus.PASSING: Span("● passing", Tone.GOOD),
    CheckStatus.WARNING: Span("! warning", Tone.WARN),
    CheckStatus.CRITICAL: Span("✖ critical", Tone.BAD),
}
"""How a check fares."""

OVERDUE_S = 15.0
"""A status that is older than that is overdue, though nothing has failed yet, in seconds."""


def header(
    snapshot: Snapshot, now: float, read_only: str = "", *, leads: bool = False
) -> tuple[Line, Line]:
    """What is looked at, and how: to the left the election, to the right Consul and the age.

    leads: to the left, who leads as well.
    """
    mode = Span(f"  {read_only}", Tone.WARN) if read_only else None
    left = line(Span("coord ", Tone.DIM), foreign(snapshot.election, Tone.STRONG))
    left += (*(_who(snapshot, now) if leads else ()), *line(mode))
    return left, joined((_age(snapshot, now), *_consul(snapshot)))


def _who(snapshot: Snapshot, now: float) -> Line:
    """Who leads, in a few words."""
    status = snapshot.status
    if status is None:
        return ()
    old = Span(OLD, Tone.WARN) if is_old(snapshot, now) else None
    if status.leader.condition is Condition.HELD:
        return line("  ", Span("★ ", Tone.GOOD), foreign(status.leader.node, Tone.GOOD, 24), old)
    return line("  ", _nobody_words(status), old)


def _consul(snapshot: Snapshot) -> Iterator[Line]:
    status, contact = snapshot.status, snapshot.contact
    if snapshot.failing is not None or status is None:
        yield line("Consul ", foreign(snapshot.address))
        return
    about = status.consul
    if contact.latency_ms is not None:
        yield line(f"{contact.latency_ms:.0f} ms")
    if contact.servers:
        count = len(contact.servers)
        yield line(f"{count} server{'s' if count > 1 else ''}")
    if about.leader:
        yield line("Consul led by ", foreign(about.leader))
    else:
        yield line(Span("✖ Consul has no leader", Tone.BAD))


def _age(snapshot: Snapshot, now: float) -> Line:
    if snapshot.status is None:
        return line(Span("nothing read yet", Tone.DIM))
    age_s = snapshot.age_s(now)
    old = snapshot.failing is not None or age_s > OVERDUE_S
    return line(Span(f"read {ago(age_s)}", Tone.WARN if old else Tone.PLAIN))


def banner(snapshot: Snapshot, now: float) -> Line:
    """What makes everything below it old; empty while nothing does."""
    failing, status = snapshot.failing, snapshot.status
    if failing is not None:
        lasting = duration(now - failing.since)
        old = "" if status is None else f"; all below is OLD, read {ago(snapshot.age_s(now))}"
        said = f"✖ {failure_words(failing.error)} for {lasting}{old}"
        return line(Span(said, Tone.SHOUT), Span(f"  {plain(str(failing.error), LONG)}", Tone.BAD))
    if status is None:
        return ()
    if snapshot.age_s(now) > OVERDUE_S:
        age = duration(snapshot.age_s(now))
        return line(Span(f"! Consul does not answer in time: what is below is {age} old", Tone.BAD))
    if status.stale:
        return line(Span("! Consul has no leader: what is below may be of any age", Tone.BAD))
    return ()


def is_old(snapshot: Snapshot, now: float) -> bool:
    """Whether what is shown cannot be taken for the present."""
    return bool(banner(snapshot, now))


def failure_words(error: ConsulError) -> str:
    """What an error of Consul means, in a few words."""
    if isinstance(error, ConsulNotPermitted):
        return "Not permitted"
    if isinstance(error, ConsulUnavailable):
        return "Consul has no leader" if error.no_leader else "Consul cannot be reached"
    return "Consul refuses"


def headline(snapshot: Snapshot, now: float) -> tuple[Line, ...]:
    """Three lines: who leads, how it fares, what it does."""
    status = snapshot.status_at(now)
    if status is None:
        where = foreign(snapshot.address)
        return (line(Span("… nothing is known yet ", Tone.STRONG)), line("asking ", where), ())
    leader = status.leader
    old = line(Span(OLD, Tone.WARN)) if is_old(snapshot, now) else ()
    if leader.condition is Condition.HELD:
        member = leading_member(status.candidates.items, leader)
        return (
            _leads(snapshot, leader, now) + old,
            joined(_fares(leader, member)),
            joined(_does(snapshot, status, member)),
        )
    health = line("cluster ", Span(health_words(status).plain))
    return (_nobody(status) + old, _aftermath(status), health)


def _leads(snapshot: Snapshot, leader: LeaderStatus, now: float) -> Line:
    parts = [
        line(Span("★ ", Tone.GOOD), foreign(leader.node, Tone.GOOD), Span(" LEADS", Tone.GOOD))
    ]
    parts.append(line("term ", Span("-" if leader.term is None else str(leader.term), Tone.STRONG)))
    if leader.since is not None:
        lasting = duration((snapshot.wall_ms(now) - ms_of(leader.since)) / 1000)
        parts.append(line("for ", Span(lasting, Tone.STRONG)))
    return joined(parts)


def _fares(leader: LeaderStatus, member: Member | None) -> Iterator[Line]:
    if member is None:
        yield line(Span("! its candidate is not to be seen among the passing ones", Tone.WARN))
    else:
        yield line("check ", CHECKS[member.status])
        if "lease" in member.timing_ms:
            yield line(f"lease {span(member.timing_ms['lease'])}")
    if leader.successors:
        yield line(f"next {', '.join(plain(name) for name in leader.successors)}")
    yield line("at ", foreign(leader.address))
    if leader.node_type:
        yield line(plain(leader.node_type))
    if leader.fenced_within_ms is not None:
        yield line(f"stopped for certain within {span(leader.fenced_within_ms)}")


def _does(snapshot: Snapshot, status: ClusterStatus, member: Member | None) -> Iterator[Line]:
    if member is not None:
        yield line("work ", foreign(", ".join(member.workloads), limit=120), _troubles(snapshot))
    record = status.health.record
    if record is None or not status.health_is_current:
        tone = Tone.DIM if record is None else Tone.WARN
        yield line("cluster ", Span(health_words(status).plain, tone))
        return
    good = record.verdict == "healthy"
    yield line(
        "cluster ",
        Span("● " if good else "✖ ", Tone.GOOD if good else Tone.BAD),
        foreign(record.verdict, Tone.GOOD if good else Tone.BAD),
        f" ({plain(', '.join(record.reasons), 200)})" if record.reasons else None,
        f", {record.nodes.up} up {record.nodes.down} down",
    )


def _troubles(snapshot: Snapshot) -> Span | None:
    """What befell the work of who leads now, under this term."""
    tenure = present(snapshot)
    if tenure is None or not (tenure.restarts or tenure.suspensions):
        return None
    said = []
    if tenure.restarts:
        said.append(f"restarted {_times(tenure.restarts)}")
    if tenure.suspensions:
        said.append(f"suspended {_times(tenure.suspensions)}")
    return Span(f" (! {', '.join(said)})", Tone.WARN)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def present(snapshot: Snapshot) -> Tenure | None:
    """The tenure of who leads now; None: nobody, or the history does not have it yet."""
    status, past = snapshot.status, snapshot.past
    if status is None or past is None or not status.leader.locked:
        return None
    meant = (status.leader.node, status.leader.term)
    return next((t for t in past.history.tenures if (t.node, t.term) == meant), None)


def _nobody(status: ClusterStatus) -> Line:
    leader = status.leader
    match leader.condition:
        case Condition.NOT_PERMITTED:
            said = "the token may not read the leader key"
        case Condition.UNREADABLE:
            said = "the record cannot be read"
        case Condition.MISSING:
            said = "the leader key does not exist"
        case _:
            said = vacancy(status).removeprefix("nobody: ")
    return joined((line(_nobody_words(status)), line(said)))


def _nobody_words(status: ClusterStatus) -> Span:
    """That nobody leads, as far as that is known."""
    if status.leader.condition is Condition.NOT_PERMITTED:
        return Span("? NOT KNOWN WHO LEADS", Tone.WARN)
    if status.leader.locked:
        return Span("? SOMEBODY LEADS", Tone.WARN)
    return Span("✖ NOBODY LEADS", Tone.SHOUT)


def _aftermath(status: ClusterStatus) -> Line:
    """Who led last and how that ended, who is to follow; or what is wrong with the record."""
    leader = status.leader
    if leader.detail:
        return line(foreign(leader.detail, Tone.WARN, LONG))
    if leader.condition is not Condition.VACANT:
        return ()
    parts: list[Line] = []
    if leader.node:
        term = "" if leader.term is None else f" (term {leader.term})"
        parts.append(line("last ", foreign(leader.node, Tone.STRONG), f"{term}: "))
        parts[-1] += (Span(why_vacant(leader).plain),)
    if leader.successors:
        parts.append(line(f"next {', '.join(plain(name) for name in leader.successors)}"))
    ready = sum(m.passing and m.eligible is not False for m in status.candidates.items)
    if status.candidates.seen is Seen.KNOWN or ready:
        tone = Tone.PLAIN if ready else Tone.BAD
        parts.append(
            line(Span(f"{ready or 'no'} passing candidate{'' if ready == 1 else 's'}", tone))
        )
    return joined(parts)
