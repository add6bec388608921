"""What is done to a simulated world, and undone: each kind of fault is one method, by its name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.history import What
from tests.simulation.operator import ACTS
from tests.simulation.work import LEAST_GRACE_S

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet, Member
    from tests.simulation.plan import Plan

NODE_KINDS: Final = (
    "crash",
    "freeze",
    "hang",
    "stop",
    "step_down",
    "fail_work",
    "stall_work",
    "host_loss",
    "crash_all",
    "newcomer",
    "deaf_successor",
    "blind_leader",
    "lonely_step_down",
    "restore_a_vacancy",
    "meddled_step_down",
)
LINK_KINDS: Final = (
    "cut_node",
    "cut_node_answers",
    "cut_node_questions",
    "cut_agent",
    "cut_agent_one_way",
    "slow_node",
    "slow_agent",
    "unreliable",
)
CONSUL_KINDS: Final = (
    "restart_agent",
    "wipe_agent",
    "freeze_agent",
    "kill_server",
    "kill_leading_server",
    "freeze_server",
    "isolate_server",
    "isolate_leading_server",
    "strand_with_leading_server",
    "isolate_server_one_way",
    "change_consul_leader",
    "forget_lock_delays",
    "leaderless",
)
KINDS: Final = (*NODE_KINDS, *LINK_KINDS, *CONSUL_KINDS, *ACTS)
"""All kinds of faults, by name."""

SHORT: Final = (0.05, 0.4, 1.0, 1.9, 2.4, 3.5)
"""How long a fault lasts: around the moments at which something runs out."""
LONG: Final = (5.0, 9.0, 20.0, 45.0)


def _shown(ways: Iterable[tuple[str, str]]) -> str:
    """Ways of the network: FROM>TO, or ONE<>OTHER where it is both."""
    left = dict.fromkeys(ways)
    told = []
    while left:
        source, target = next(iter(left))
        del left[source, target]
        both = (target, source) in left
        left.pop((target, source), None)
        told.append(f"{source}{'<>' if both else '>'}{target}")
    return " ".join(told)


class Faults:
    """Does faults to a fleet, as a plan has them, until it is told to end."""

    def __init__(self, fleet: Fleet, plan: Plan) -> None:
        self._fleet = fleet
        self._plan = plan
        self._random = Random(f"faults {plan.seed}")
        self._undo: dict[int, Callable[[], None]] = {}
        self._count = 0
        self._over = False
        self._kind = ""

    def begin(self) -> None:
        """The first fault comes after a while; each draws when the next one does."""
        self._next()

    def end(self) -> None:
        """No more faults; all that were done are undone."""
        self._over = True
        for number in sorted(self._undo):
            self._undo.pop(number)()

    def _next(self) -> None:
        world = self._fleet.world
        wait_s = self._random.expovariate(1 / self._plan.every_s)
        # Now and then two things happen at once, or nearly so.
        if self._random.random() < 0.2:
            wait_s = self._random.choice((0.0, 0.01, 0.3))
        world.at(world.time + wait_s, self._strike)

    def _strike(self) -> None:
        if self._over:
            return
        weights = self._plan.weights
        kind = self._random.choices(tuple(weights), tuple(weights.values()))[0]
        self.do(kind)
        self._next()

    def do(self, kind: str) -> None:
        """Do a fault of that kind now."""
        member = self._victim()
        if kind in ACTS:
            self._fleet.operate(kind)
        else:
            self._kind = kind
            self._fleet.tell(What.FAULT, member.name, kind)
            getattr(self, f"_{kind}")(member)

    def _victim(self) -> Member:
        members = self._fleet.members
        leader = self._fleet.at_work
        if leader is not None and self._random.random() < self._plan.on_leader:
            return leader
        return self._random.choice(members)

    def _lasting(
        self, who: str, undo: Callable[[], None], lengths: tuple[float, ...] = SHORT, ways: str = ""
    ) -> None:
        """Undo it after a while. who, ways: what it hit, for the history."""
        self._count += 1
        number, kind, fleet = self._count, self._kind, self._fleet

        def told_undo() -> None:
            fleet.tell(What.UNDONE, who, kind, ways)
            undo()

        def over() -> None:
            if self._undo.pop(number, None) is not None:
                told_undo()

        self._undo[number] = told_undo
        seconds = self._random.choice(lengths) * self._random.uniform(0.8, 1.2)
        fleet.tell(What.HIT, who, kind, seconds, ways)
        fleet.world.at(fleet.world.time + seconds, over)

    def _some_time(self) -> tuple[float, ...]:
        return self._random.choice((SHORT, SHORT, LONG))

    # -- nodes -----------------------------------------------------------------------------

    def _crash(self, member: Member) -> None:
        """A process is killed, and started again after a while."""
        member.node.kill()
        self._lasting(member.name, member.start, self._some_time())

    def _crash_all(self, _: Member) -> None:
        """All processes are killed at once."""
        for member in self._fleet.members:
            self._crash(member)

    def _freeze(self, member: Member) -> None:
        """A process stands still, and goes on after a while."""
        member.freeze()
        self._lasting(member.name, member.thaw, self._random.choice((SHORT, LONG)))

    def _hang(self, member: Member) -> None:
        """A process's event loop is blocked; if it ends itself, it is started again."""
        member.hang()
        self._lasting(member.name, member.thaw, self._some_time())
        self._lasting(member.name, member.start, LONG)

    def _stop(self, member: Member) -> None:
        """A process is asked to end, and started again after a while."""
        member.stop()
        self._lasting(member.name, member.start, self._some_time())

    def _step_down(self, member: Member) -> None:
        """A node is asked to step down."""
        member.step_down()

    def _fail_work(self, member: Member) -> None:
        """The work raises an exception."""
        member.temper.crash = True

    def _stall_work(self, member: Member) -> None:
        """The work does not stop when it is told to."""
        member.temper.stall = True

    def _host_loss(self, member: Member) -> None:
        """A host is gone, its process and its agent, and comes back, now and then without what its
        agent had kept."""
        member.node.kill()
        member.agent.kill()
        wipe = self._random.random() < 0.3

        def back() -> None:
            member.agent.start(wipe=wipe)
            member.start()

        self._lasting(member.agent.endpoint, back, self._some_time())

    def _newcomer(self, _: Member) -> None:
        """A node that remembers nothing starts just when the election's keys are deleted."""
        fleet = self._fleet
        member = self._random.choice([m for m in fleet.members if m is not fleet.at_work])
        member.node.kill()
        fleet.tell(What.HIT, member.name, self._kind)
        fleet.operate(self._random.choice(("delete_leader", "delete_prefix")))
        fleet.world.at(fleet.world.time + self._random.uniform(0.0, 0.1), member.start)

    def _deaf_successor(self, member: Member) -> None:
        """The leader gives way, and whoever takes over may not hear that it has."""
        member.step_down()
        for other in self._fleet.members:
            if other is not member and self._random.random() < 0.5:
                self._cut_node_answers(other)

    def _lonely_step_down(self, member: Member) -> None:
        """The leader gives way, and for a moment nobody else can ask for anything."""
        member.step_down()
        for other in self._fleet.members:
            if other is not member:
                self._cut_node_questions(other)

    def _restore_a_vacancy(self, member: Member) -> None:
        """Consul goes back to when the lock had been handed over; somebody else leads by then, and
        cannot ask just now."""
        fleet, world = self._fleet, self._fleet.world
        self._lonely_step_down(member)

        def snapshot() -> None:
            fleet.operate("snapshot")

        def restore() -> None:
            if self._over:
                return
            self._kind = "restore_a_vacancy"
            if fleet.at_work is not None:
                self._cut_node_questions(fleet.at_work)
            fleet.operate("restore")

        world.at(world.time + 0.05, snapshot)
        world.at(world.time + self._random.uniform(5.0, 12.0), restore)

    def _meddled_step_down(self, member: Member) -> None:
        """Somebody writes the term key just when the leader gives way."""
        self._fleet.operate("edit_term")
        self._fleet.world.at(
            self._fleet.world.time + self._random.uniform(0.0, 0.02), member.step_down
        )

    def _blind_leader(self, member: Member) -> None:
        """Its answers come as late as they may; then its questions do not arrive any more, and just
        then its session ends: the worst moment that there is for a lease. Its work takes nearly as
        long to stop as it may."""
        network, world = self._fleet.network, self._fleet.world
        question, answer = member.node_ways
        timing = member.node.settings.timing
        late_s = timing.read_deadline * self._random.uniform(0.7, 0.97)
        member.temper.stop_s = min(0.8 * timing.fence_grace, LEAST_GRACE_S)
        network.set(*answer, delay_s=(late_s, late_s))

        def blind() -> None:
            if self._over:
                return
            network.cut(*question)
            self._fleet.operate(self._random.choice(("destroy_session", "release", "release")))

        def mend() -> None:
            sound = network.kind(*answer) or network.default
            network.set(*answer, delay_s=sound.delay_s)
            network.heal(*question)

        world.at(world.time + self._random.uniform(1.0, 3.0), blind)
        self._lasting("network", mend, LONG, _shown(member.node_ways))

    # -- links -----------------------------------------------------------------------------

    def _cut(self, *ways: tuple[str, str]) -> None:
        network = self._fleet.network
        for source, target in ways:
            network.cut(source, target)

        def mend() -> None:
            for source, target in ways:
                network.heal(source, target)

        self._lasting("network", mend, self._some_time(), _shown(ways))

    def _cut_node(self, member: Member) -> None:
        """A node and its agent do not reach each other."""
        there, back = member.node_ways
        self._cut(there, back)

    def _cut_node_questions(self, member: Member) -> None:
        """What a node asks does not reach its agent."""
        self._cut(member.node_ways[0])

    def _cut_node_answers(self, member: Member) -> None:
        """What an agent answers does not reach its node."""
        self._cut(member.node_ways[1])

    def _cut_agent(self, member: Member) -> None:
        """An agent and the servers do not reach each other."""
        self._cut(*self._fleet.ways(member.agent.endpoint, self._fleet.server_endpoints))

    def _cut_agent_one_way(self, member: Member) -> None:
        """An agent does not reach the servers, or they do not reach it."""
        ways = self._fleet.ways(member.agent.endpoint, self._fleet.server_endpoints)
        out = self._random.random() < 0.5
        self._cut(*(way for way in ways if (way[0] == member.agent.endpoint) is out))

    def _spoil(self, ways: tuple[tuple[str, str], ...], **changes: Any) -> None:
        """Change links for a while; what else happens to them meanwhile stays."""
        network = self._fleet.network
        for way in ways:
            network.set(*way, **changes)

        def mend() -> None:
            for way in ways:
                sound = network.kind(*way) or network.default
                network.set(*way, **{name: getattr(sound, name) for name in changes})

        self._lasting("network", mend, self._some_time(), _shown(ways))

    def _slow(self, ways: tuple[tuple[str, str], ...]) -> None:
        low = self._random.choice((0.05, 0.3, 0.9, 1.5))
        self._spoil(ways, delay_s=(low, low * self._random.uniform(1.0, 3.0)))

    def _slow_node(self, member: Member) -> None:
        """Messages between a node and its agent, or its questions alone, take long."""
        self._slow(self._random.choice((member.node_ways, member.node_ways[:1])))

    def _slow_agent(self, member: Member) -> None:
        """Messages between an agent and the servers take long."""
        self._slow(self._fleet.ways(member.agent.endpoint, self._fleet.server_endpoints))

    def _unreliable(self, member: Member) -> None:
        """Messages of one node, or of all, are lost, held back, and come twice."""
        everybody = self._random.random() < 0.4
        members = self._fleet.members if everybody else [member]
        ways = [way for each in members for way in each.node_ways]
        if self._random.random() < 0.5:
            ways = [
                way
                for each in members
                for way in self._fleet.ways(each.agent.endpoint, self._fleet.server_endpoints)
            ]
        loss, late, double = (self._random.choice((0.0, 0.05, 0.3)) for _ in range(3))
        self._spoil(tuple(ways), loss=loss, late=late, double=double)

    # -- Consul ----------------------------------------------------------------------------

    def _restart_agent(self, member: Member) -> None:
        """An agent is killed, and started again with what it had kept."""
        member.agent.kill()
        self._lasting(member.agent.endpoint, lambda: member.agent.start(wipe=False))

    def _wipe_agent(self, member: Member) -> None:
        """An agent is killed, and started again with nothing: it has forgotten all checks."""
        member.agent.kill()
        self._lasting(member.agent.endpoint, lambda: member.agent.start(wipe=True))

    def _freeze_agent(self, member: Member) -> None:
        """An agent stands still, and goes on after a while."""
        member.agent.freeze()
        self._lasting(member.agent.endpoint, member.agent.thaw, self._some_time())

    def _kill_server(self, _: Member) -> None:
        """A Consul server is killed, and started again after a while."""
        self._kill(self._random.randrange(len(self._fleet.consul.servers)))

    def _kill_leading_server(self, _: Member) -> None:
        """Consul's leader is killed, and started again after a while."""
        self._kill(self._fleet.leading_server())

    def _kill(self, number: int) -> None:
        server = self._fleet.consul.servers[number]
        server.kill()
        self._lasting(server.endpoint, server.start, self._some_time())

    def _freeze_server(self, _: Member) -> None:
        """A Consul server, as likely as not the leader, stands still."""
        leading = self._random.random() < 0.5
        servers = self._fleet.consul.servers
        server = servers[self._fleet.leading_server()] if leading else self._random.choice(servers)
        server.freeze()
        self._lasting(server.endpoint, server.thaw, self._some_time())

    def _isolate_server(self, _: Member) -> None:
        """A Consul server is cut off from the others; some agents may be on its side."""
        self._isolate(self._random.randrange(len(self._fleet.consul.servers)))

    def _isolate_leading_server(self, _: Member) -> None:
        """Consul's leader is cut off from the other servers; some agents may be on its side."""
        self._isolate(self._fleet.leading_server())

    def _isolate(self, number: int) -> None:
        """One server is cut off from the others; some agents may be on its side."""
        mine = self._fleet.consul.servers[number].endpoint
        others = tuple(each for each in self._fleet.server_endpoints if each != mine)
        ways = list(self._fleet.ways(mine, others))
        for member in self._fleet.members:
            if self._random.random() < 0.3:
                ways += self._fleet.ways(member.agent.endpoint, others)
        self._cut(*ways)

    def _strand_with_leading_server(self, member: Member) -> None:
        """The node is cut off together with Consul's leader, which goes on answering for a while;
        and on the other side, where there is a new one, its session ends."""
        fleet, world = self._fleet, self._fleet.world
        server = fleet.consul.servers[fleet.leading_server()]
        member.agent.chosen = server
        others = tuple(each for each in fleet.server_endpoints if each != server.endpoint)
        ways = (*fleet.ways(server.endpoint, others), *fleet.ways(member.agent.endpoint, others))
        for way in ways:
            fleet.network.cut(*way)

        def mend() -> None:
            for way in ways:
                fleet.network.heal(*way)

        def end_session() -> None:
            if not self._over:
                fleet.operate(self._random.choice(("destroy_session", "release")))

        for after_s in (2.2, 3.2, 4.2):
            world.at(world.time + after_s, end_session)
        self._lasting("network", mend, LONG, _shown(ways))

    def _isolate_server_one_way(self, _: Member) -> None:
        """A Consul server does not reach the others, or they do not reach it."""
        mine = self._random.choice(self._fleet.server_endpoints)
        others = tuple(each for each in self._fleet.server_endpoints if each != mine)
        out = self._random.random() < 0.5
        self._cut(*((mine, each) if out else (each, mine) for each in others))

    def _change_consul_leader(self, _: Member) -> None:
        """Another server is made Consul's leader."""
        with contextlib.suppress(ValueError):  # just now there is nobody to hand over
            self._fleet.consul.transfer_leader()

    def _forget_lock_delays(self, member: Member) -> None:
        """Another server is made Consul's leader, and all lock-delays are lost."""
        self._change_consul_leader(member)
        self._fleet.consul.forget_lock_delays()

    def _leaderless(self, _: Member) -> None:
        """Two Consul servers are cut off from each other and the third: Consul has no leader."""
        servers = self._random.sample(self._fleet.server_endpoints, 2)
        everybody = self._fleet.server_endpoints
        ways = {
            way
            for one in servers
            for way in self._fleet.ways(one, tuple(each for each in everybody if each != one))
        }
        self._cut(*sorted(ways))
