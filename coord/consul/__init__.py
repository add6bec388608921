"""Consul, typed: the calls that `coord` makes, their values and what can go wrong."""

from coord.consul.address import ConsulAddress
from coord.consul.api import ConsulApi
from coord.consul.client import ConsulClient
from coord.consul.errors import (
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
    Denied,
)
from coord.consul.keys import check_key, check_prefix
from coord.consul.leaderless import no_leader
from coord.consul.types import (
    AgentInfo,
    CheckStatus,
    Consistency,
    HealthCheck,
    KVEntry,
    NodeInfo,
    Reply,
    ServiceInstance,
    ServiceRegistration,
    Session,
    TtlCheck,
    TxnError,
    TxnOp,
    TxnResult,
    TxnVerb,
)
from coord.consul.watch import WatchError, watch

__all__ = [
    "AgentInfo",
    "CheckStatus",
    "Consistency",
    "ConsulAddress",
    "ConsulApi",
    "ConsulClient",
    "ConsulError",
    "ConsulNotFound",
    "ConsulNotPermitted",
    "ConsulRefused",
    "ConsulUnavailable",
    "Denied",
    "HealthCheck",
    "KVEntry",
    "NodeInfo",
    "Reply",
    "ServiceInstance",
    "ServiceRegistration",
    "Session",
    "TtlCheck",
    "TxnError",
    "TxnOp",
    "TxnResult",
    "TxnVerb",
    "WatchError",
    "check_key",
    "check_prefix",
    "no_leader",
    "watch",
]
