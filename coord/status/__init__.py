"""The cluster as Consul has it: one frozen snapshot, read once or watched."""

from coord.members import (
    LeaderInstance,
    Listing,
    Member,
    Role,
    Seen,
)
from coord.status.model import (
    ClusterStatus,
    Condition,
    ConsulStatus,
    HealthStatus,
    LeaderStatus,
    Oddity,
    TermCondition,
    TermStatus,
    Unavailable,
)
from coord.status.node import (
    NodeStatus,
    node_status,
    state_of,
)
from coord.status.read import (
    read_status,
    to_dict,
    to_json,
    watch_status,
)

__all__ = [
    "ClusterStatus",
    "Condition",
    "ConsulStatus",
    "HealthStatus",
    "LeaderInstance",
    "LeaderStatus",
    "Listing",
    "Member",
    "NodeStatus",
    "Oddity",
    "Role",
    "Seen",
    "TermCondition",
    "TermStatus",
    "Unavailable",
    "node_status",
    "read_status",
    "state_of",
    "to_dict",
    "to_json",
    "watch_status",
]
