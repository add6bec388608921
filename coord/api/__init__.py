"""The node's HTTP API, the table its health endpoints answer by, and its server."""

from coord.api.app import (
    NodeView,
    RendersMetrics,
    create_api,
)
from coord.api.cache import CACHE_S, ClusterCache
from coord.api.health_table import PROBES, ElectionView, Probes, Row, detail_of, row_of
from coord.api.replies import error_response

__all__ = [
    "CACHE_S",
    "PROBES",
    "ClusterCache",
    "ElectionView",
    "NodeView",
    "Probes",
    "RendersMetrics",
    "Row",
    "create_api",
    "detail_of",
    "error_response",
    "row_of",
]
