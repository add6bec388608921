"""Consul, typed: the calls that `coord` makes, their values and what can go wrong."""

from coord.consul.api import ConsulApi
from coord.consul.errors import (
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
)
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

__all__ = [
    "AgentInfo",
    "CheckStatus",
    "Consistency",
    "ConsulApi",
    "ConsulError",
    "ConsulNotFound",
    "ConsulNotPermitted",
    "ConsulRefused",
    "ConsulUnavailable",
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
]
