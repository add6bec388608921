"""Reads an election from Consul, and makes one frozen snapshot after another of it.

Consul wakes it: nine blocking queries hang on the keys, the members, what is asked, the journal and
the audit. Beyond that the status is read every `REFRESH_S`, so that a healthy console that shows
nothing new asks about three times a second; while things change it reads the status at most every
`PAUSE_S`. How polls fare is read every `POLLS_S`, in one request, and as it changes while somebody
looks at them. Sessions, which Consul does not let us wait for, are read while somebody looks at
them; the doctor looks, and elections are looked for, when somebody asks. The nodes are asked what
they say themselves every `ASK_S`, and soon after the leader changed. Nothing here knows of a
terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from console.snapshot import Contact, Elections, Examination, Failing, Said, Snapshot
from coord.clock import Clock
from coord.consul import Consistency, ConsulApi, ConsulError
from coord.consul.changes import Changes, key_query, prefix_query
from coord.doctor import Here, Progress, examine
from coord.history import read_past
from coord.records import Paths
from coord.runbooks import Runbook, read_runbook, runbook_names
from coord.status import ClusterStatus, Unavailable, read_status, watch_status
from coord.status.elections import read_elections
from coord.status.sessions import read_sessions

if TYPE_CHECKING:  # it takes long to load, and the first picture does without
    from coord.polling.board import BoardReader

REFRESH_S = 5.0
"""How often the status is read, and Consul's latency measured, when nothing wakes us."""

PAUSE_S = 0.2
"""How long at least lies between two readings of the same, in seconds."""

PAST_REFRESH_S = 60.0
"""How often history and journal are read when nothing wakes us, in seconds."""

POLLS_S = 15.0
"""How often it is read how what is polled fares, in seconds: of thousands that is megabytes."""

POLLS_LIVE_S = 1.0
"""How long at least lies between two readings of polls while somebody looks at them, in seconds."""

POLLS_WAIT_S = 5.0
"""How long it is waited then for something to change, in seconds: what is late tells itself so."""

POLLS_REST = 4.0
"""So many times as long as a reading takes lies at least between two: of thousands it is work."""

ASK_S = 5.0
"""How often the nodes are asked what they say themselves, in seconds; and"""

SETTLE_S = 2.0
"""how long after the leader changed: a node hears of it a moment later."""

RETRY_S = 2.0
"""How soon history and journal, and polls, are read again after that failed, in seconds."""

Post = Callable[[Snapshot], None]


class Source:
    """Keeps `snapshot` true, and posts each new one.

    address: of the Consul that is asked, for people.
    here: the settings here, for the doctor; None: he cannot be asked.
    ask_s: how often the nodes are asked, in seconds; None: they are not.
    also: gets each new snapshot, too.
    """

    def __init__(
        self,
        consul: ConsulApi,
        paths: Paths,
        *,
        clock: Clock,
        address: str = "",
        here: Here | None = None,
        refresh_s: float = REFRESH_S,
        polls_s: float = POLLS_S,
        ask_s: float | None = ASK_S,
        also: Post = lambda _: None,
    ) -> None:
        self._consul = consul
        self._paths = paths
        self._clock = clock
        self._refresh_s = refresh_s
        self._polls_s = polls_s
        self._here = here
        self._began = clock.now()
        self._also = also
        self._post: Post = lambda _: None
        self._looked = asyncio.Event()
        self._sessions_due = asyncio.Event()
        self._sessions_wanted = False
        self._polls_due = asyncio.Event()
        self._polls_wanted = False
        self._board: BoardReader | None = None
        self._ask_s = ask_s
        self._led_anew = asyncio.Event()
        self._led: tuple[str | None, int | None] = (None, None)
        self._led_since = self._began
        self._selected = ""
        self.snapshot = Snapshot(election=paths.election, address=address)

    async def run(self, post: Post) -> None:
        """Post every new snapshot until cancelled. Rides out every `ConsulError`."""
        self._post = post
        self._began = self._clock.now()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_status())
            tasks.create_task(self._follow_past())
            tasks.create_task(self._measure())
            tasks.create_task(self._follow_sessions())
            tasks.create_task(self._follow_polls())
            tasks.create_task(self._read_runbooks())
            if self._ask_s is not None:
                tasks.create_task(self._follow_nodes(self._ask_s))

    def want_sessions(self, wanted: bool) -> None:
        """Somebody looks at the sessions from now on, or nobody any more."""
        self._sessions_wanted = wanted
        if wanted:
            self._sessions_due.set()

    def want_polls(self, wanted: bool) -> None:
        """Somebody looks at the schedules from now on, or nobody any more."""
        self._polls_wanted = wanted
        if wanted:
            self._polls_due.set()

    def look_at(self, node: str) -> None:
        """Somebody looks at that node; "": at none."""
        self._selected = node

    async def examine(self) -> None:
        """Have the doctor look, reading only, and post how far he is and what he finds."""
        assert self._here is not None
        before = self.snapshot.examination
        began = self._clock.now()
        doing = Examination(
            began_at=began,
            stage_at=began,
            report=None if before is None else before.report,
            reported_at=0.0 if before is None else before.reported_at,
        )

        def tell(progress: Progress) -> None:
            self._examined(replace(doing, progress=progress, stage_at=self._clock.now()))

        done = replace(doing, called_off=True)
        try:
            report = await examine(
                self._consul, self._paths, self._here, clock=self._clock, read_only=True, tell=tell
            )
            done = replace(doing, report=report, reported_at=self._clock.now())
        except ConsulError as error:
            done = replace(doing, error=error)
        finally:
            self._examined(replace(done, stage_at=self._clock.now()))

    def _examined(self, examination: Examination) -> None:
        self._set(replace(self.snapshot, examination=examination))

    async def read_elections(self) -> Elections:
        """Which elections there are, or why that cannot be told."""
        try:
            return Elections(await read_elections(self._consul))
        except ConsulError as error:
            return Elections(error=error)

    async def read_once(self) -> Snapshot:
        """One whole snapshot.

        Raises:
            ConsulError: Consul cannot be read.
        """
        at = self._clock.now()
        status, contact, past = await asyncio.gather(
            read_status(self._consul, self._paths, clock=self._clock),
            contact_with(self._consul, self._clock),
            read_past(self._consul, self._paths, clock=self._clock),
        )
        self._set(replace(self.snapshot, status=status, read_at=at, contact=contact, past=past))
        await self._read_polls()
        return self.snapshot

    async def _follow_status(self) -> None:
        readings = watch_status(
            self._consul, self._paths, clock=self._clock, refresh_s=self._refresh_s, every=True
        )
        async with aclosing(readings):
            async for read in readings:
                self._set(self._with(read))
                self._looked.set()
                if self._sessions_wanted:
                    self._sessions_due.set()
                # What comes meanwhile is read in one: a fleet that restarts changes all the time.
                await asyncio.sleep(PAUSE_S)

    def _with(self, read: ClusterStatus | Unavailable) -> Snapshot:
        now = self._clock.now()
        if isinstance(read, ClusterStatus):
            at = now - read.age_ms / 1000
            led = (read.leader_node, read.leader.term)
            if led != self._led:
                self._led, self._led_since = led, at
                self._led_anew.set()
            return replace(self.snapshot, status=replace(read, age_ms=0), read_at=at, failing=None)
        since = self._began if self.snapshot.status is None else self.snapshot.read_at
        return replace(self.snapshot, failing=Failing(since, read.error))

    async def _follow_past(self) -> None:
        """Journal and audit change the history, and so does the leader key."""
        queries = (
            prefix_query(self._consul, self._paths.journal),
            prefix_query(self._consul, self._paths.audit),
            key_query(self._consul, self._paths.leader),
        )
        async with Changes(queries) as changes:
            while True:
                try:
                    past = await read_past(self._consul, self._paths, clock=self._clock)
                except ConsulError as error:
                    self._set(replace(self.snapshot, past_error=error))
                else:
                    self._set(replace(self.snapshot, past=past, past_error=None))
                failed = self.snapshot.past_error is not None
                if await changes.wait(RETRY_S if failed else PAST_REFRESH_S):
                    await changes.settle(PAUSE_S)

    async def _follow_sessions(self) -> NoReturn:
        """Read them with each status while they are wanted: what changes them changes it."""
        while True:
            await self._sessions_due.wait()
            self._sessions_due.clear()
            status, at = self.snapshot.status, self._clock.now()
            holder = "" if status is None else status.leader.session
            members = () if status is None else status.candidates.items
            try:
                found = await read_sessions(
                    self._consul,
                    self._paths,
                    holder=holder,
                    expected=any(member.passing for member in members),
                )
            except ConsulError as error:
                self._set(replace(self.snapshot, sessions_error=error))
            else:
                shown = replace(self.snapshot, sessions=found, sessions_at=at)
                self._set(replace(shown, sessions_error=None))
            await asyncio.sleep(PAUSE_S)

    async def _follow_polls(self) -> NoReturn:
        """From the first picture on, which is not to wait for what this takes to load."""
        await self._looked.wait()
        while True:
            self._polls_due.clear()
            board = self.snapshot.poll_board
            # The first who looks is not to wait for a change.
            live = self._polls_wanted
            known = live and board is not None and board.pollers is not None
            await self._read_polls(wait_s=POLLS_WAIT_S if known else None, pollers=live)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._polls_pause_s):
                    await self._polls_due.wait()

    @property
    def _polls_pause_s(self) -> float:
        if self.snapshot.polls_error is not None:
            return RETRY_S
        if self._polls_wanted and self._board is not None:
            return max(POLLS_LIVE_S, POLLS_REST * self._board.took_s)
        return self._polls_s

    async def _read_polls(self, *, wait_s: float | None = None, pollers: bool = False) -> None:
        from coord.polling.board import BoardReader

        if self._board is None:
            self._board = BoardReader(self._consul, self._paths, clock=self._clock)
        status = self.snapshot.status
        stale = status is not None and status.stale
        try:
            board, polls = await self._board.read(
                wait_s=wait_s,
                pollers=pollers,
                consistency=Consistency.STALE if stale else Consistency.DEFAULT,
            )
        except ConsulError as error:
            self._set(replace(self.snapshot, polls_error=error))
        else:
            self._set(replace(self.snapshot, polls=polls, poll_board=board, polls_error=None))

    async def _follow_nodes(self, ask_s: float) -> NoReturn:
        """From the first picture on. It goes on while Consul is away: they may know more."""
        from console.asking import Asker, whom

        await self._looked.wait()
        async with aclosing(Asker()) as asker:
            while True:
                self._led_anew.clear()
                status, at, before = self.snapshot.status, self._clock.now(), self.snapshot.said
                (led, term), since = self._led, self._led_since
                # Where Consul was never reached, nobody's address is known.
                members, left_out = ((), 0) if status is None else whom(status, self._selected)
                last = () if before is None else before.nodes
                nodes = await asker.ask(members, self._paths.election, last, at)
                said = Said(
                    at=at, leader_node=led, term=term, since=since, nodes=nodes, left_out=left_out
                )
                if status is not None:
                    self._set(replace(self.snapshot, said=said))
                with suppress(TimeoutError):
                    async with asyncio.timeout(ask_s):
                        await self._led_anew.wait()
                        await asyncio.sleep(min(SETTLE_S, ask_s))

    async def _read_runbooks(self) -> None:
        found = await asyncio.to_thread(read_runbooks)
        self._set(replace(self.snapshot, runbooks=found))

    async def _measure(self) -> NoReturn:
        while True:
            contact = await contact_with(self._consul, self._clock)
            self._set(replace(self.snapshot, contact=contact))
            await asyncio.sleep(self._refresh_s)

    def _set(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._also(snapshot)
        self._post(snapshot)


async def contact_with(consul: ConsulApi, clock: Clock) -> Contact:
    """How Consul answers just now. Raises nothing of Consul's."""
    began = clock.now()
    try:
        await consul.status_leader()
    except ConsulError:
        return Contact()
    latency_ms = (clock.now() - began) * 1000
    try:
        servers = await consul.status_peers()
    except ConsulError:
        return Contact(latency_ms)
    return Contact(latency_ms, servers)


def read_runbooks() -> tuple[Runbook, ...]:
    """Those of this installation that can be read."""
    found: list[Runbook] = []
    for name in runbook_names():
        with suppress(OSError, ValueError, LookupError):
            found.append(read_runbook(name))
    return tuple(found)
