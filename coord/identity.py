"""Who this process is in an election."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from coord.config.values import parse_name
from coord.node_type import EligibleWhy, NodeType
from coord.records import DEFAULT_PRIORITY

if TYPE_CHECKING:
    from coord.config import Settings
    from coord.config.values import HostPort


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this process is: the same for its whole life, and never another process's.

    boot_id: new for each process start, so that a restarted node is not taken for its former self.
    advertise: host:port at which others reach this process.
    priority: how much it is wanted as a successor.
    workloads: the names of its coordination work.

    Raises:
        ValueError: the name of the node or of the election cannot stand in a path.
    """

    node: str
    node_type: NodeType
    election: str
    eligible: bool
    eligible_why: EligibleWhy
    boot_id: str
    advertise: str
    priority: int = DEFAULT_PRIORITY
    workloads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.node, self.election, self.boot_id):
            parse_name(name)


def new_boot_id(random: Random | None = None) -> str:
    """A random id for one process start: 32 hexadecimal digits, the system's chance if None."""
    random = random or SystemRandom()
    return f"{random.getrandbits(128):032x}"


def make_identity(
    settings: Settings, *, boot_id: str | None = None, bound: HostPort | None = None
) -> Identity:
    """The identity of this process.

    boot_id: None makes a new one: call it once per process.
    bound: where the process really listens, once it does (with `listen` on port 0, the port).
    """
    eligibility = settings.eligibility
    return Identity(
        node=settings.node,
        node_type=settings.found_node_type.node_type,
        election=settings.election,
        eligible=eligibility.eligible,
        eligible_why=eligibility.why,
        boot_id=boot_id or new_boot_id(),
        advertise=str(settings.advertise or bound or settings.listen),
        priority=settings.priority,
        workloads=settings.workloads,
    )
