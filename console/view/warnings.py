"""What is wrong, or not to be overlooked: worst first."""

from __future__ import annotations

from collections.abc import Iterator

from console.snapshot import Snapshot
from console.view.headline import failure_words
from console.view.line import LONG, Line, Span, Tone, foreign, line
from console.view.said import differences
from coord.consul import CheckStatus, ConsulError
from coord.history.text import limits
from coord.status import ClusterStatus, Seen
from coord.status.asked import asked
from coord.status.rows import leading_member, namesakes
from coord.status.text import ODDITIES, namesakes_words
from coord.status.words import SEEN, plain

_BY_STYLE = {"bold red": Tone.BAD, "yellow": Tone.WARN, "dim": Tone.DIM}
_ORDER = (Tone.SHOUT, Tone.BAD, Tone.WARN, Tone.DIM)


def warnings(snapshot: Snapshot, now: float) -> tuple[Line, ...]:
    """A line each, beginning with its symbol; none while all is well."""
    status = snapshot.status_at(now)
    if status is None:
        return ()
    found = [*_of_keys(status), *_of_leader(status), *_asked(status), *_names(status)]
    found += [*differences(snapshot, now), *_unseen(status), *_of_past(snapshot)]
    found += _not_read("the polls are not read", snapshot.polls_error, snapshot)
    return tuple(sorted(found, key=lambda said: _ORDER.index(said[0].tone)))


def _of_keys(status: ClusterStatus) -> Iterator[Line]:
    for oddity in status.leader.oddities:
        yield line(Span(f"! {ODDITIES[oddity]}", Tone.BAD))


def _of_leader(status: ClusterStatus) -> Iterator[Line]:
    """Whether discovery and the lock say the same, and whether its check passes."""
    leader = status.leader
    if not leader.locked or not leader.node:
        return
    failing = [m for m in status.candidates.items if m.node == leader.node and not m.passing]
    if failing and leading_member(status.candidates.items, leader) is None:
        worst = max((m.status for m in failing), key=lambda each: each.severity)
        word = "is critical" if worst is CheckStatus.CRITICAL else "warns"
        yield line(
            Span("! the check of the leader ", Tone.BAD),
            foreign(leader.node, Tone.BAD),
            Span(f" {word}", Tone.BAD),
        )
    for item in status.leader_service.items:
        if item.passing and (item.node, item.term) != (leader.node, leader.term):
            term = "-" if item.term is None else str(item.term)
            yield line(
                Span("! discovery still shows ", Tone.WARN),
                foreign(item.node, Tone.WARN),
                Span(f" (term {term}) as the leader", Tone.WARN),
            )


def _asked(status: ClusterStatus) -> Iterator[Line]:
    for text in asked(status):
        tone = _BY_STYLE.get(str(text.style), Tone.WARN)
        yield line(Span(text.plain, tone))


def _names(status: ClusterStatus) -> Iterator[Line]:
    leading = leading_member(status.candidates.items, status.leader)
    for name, addresses in namesakes(status).items():
        said = namesakes_words(name, addresses, status.leader_node, leading)
        yield line(Span(said.plain, Tone.WARN))


def _unseen(status: ClusterStatus) -> Iterator[Line]:
    """Lists that were kept back: an empty one is not to be taken for none."""
    lists = {
        "candidates": status.candidates,
        "observers": status.observers,
        "pollers": status.pollers,
    }
    for name, listing in lists.items():
        if listing.seen is not Seen.KNOWN and not listing.items:
            yield line(Span(f"? {name}: {SEEN[listing.seen]}", Tone.DIM))


def _of_past(snapshot: Snapshot) -> Iterator[Line]:
    past = snapshot.past
    yield from _not_read("the journal is not read", snapshot.past_error, snapshot)
    if past is not None:
        # That it keeps the latest entries only is no fault, and the time line shows how far.
        quiet = past.history.pruned
        said_of_it = tuple(limits(past.history))
        for text in said_of_it[: len(said_of_it) - quiet]:
            yield line(Span(f"? {text}", Tone.DIM))


def _not_read(what: str, error: ConsulError | None, snapshot: Snapshot) -> Iterator[Line]:
    # While nothing at all can be read, the banner says so.
    if error is not None and snapshot.failing is None:
        said = f"! {what}: {failure_words(error)}: {plain(str(error), LONG)}"
        yield line(Span(said, Tone.WARN))
