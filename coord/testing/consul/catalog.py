"""The catalog of a simulated Consul server: nodes, services and checks, and their indexes."""

from __future__ import annotations

from dataclasses import replace

from coord.consul.types import CheckStatus, HealthCheck, NodeInfo, ServiceInstance

SERF_HEALTH = "serfHealth"


class Catalog:
    """Nodes, and each one's services and checks, by name and id.

    Values are never changed, only replaced. What changed a service's health is noted in `touched`
    by the service's name, for those who wait for it, until somebody empties it.
    """

    __slots__ = (
        "_health",
        "_names",
        "checks",
        "checks_index",
        "extinct_index",
        "node_ids",
        "nodes",
        "nodes_index",
        "service_indexes",
        "services",
        "services_index",
        "touched",
    )

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self.node_ids: dict[str, str] = {}
        self.services: dict[str, dict[str, ServiceInstance]] = {}
        self.checks: dict[str, dict[str, HealthCheck]] = {}
        self.nodes_index = self.services_index = self.checks_index = 0
        self.service_indexes: dict[str, int] = {}
        self.extinct_index = 0
        self._names: dict[str, dict[tuple[str, str], None]] = {}
        self._health: dict[str, tuple[ServiceInstance, ...]] = {}
        self.touched: dict[str, None] = {}

    # --- reading ---

    def health(self, name: str) -> tuple[ServiceInstance, ...]:
        """The instances of a service with all checks that count for them, in Consul's order."""
        found = self._health.get(name)
        if found is None:
            places = sorted(self._names.get(name, ()), key=lambda p: (p[0].lower(), p[1]))
            found = tuple(self._instance(node, service_id) for node, service_id in places)
            self._health[name] = found
        return found

    def health_index(self, name: str) -> int:
        """The index of `health`: with no instance, when the last of any service went."""
        known = self.service_indexes.get(name)
        if known is not None:
            return known
        return self.extinct_index or max(self.nodes_index, self.services_index, self.checks_index)

    def service_tags(self) -> dict[str, tuple[str, ...]]:
        """The tags that the instances of each service have between them."""
        tags: dict[str, set[str]] = {}
        for services in self.services.values():
            for service in services.values():
                tags.setdefault(service.name, set()).update(service.tags)
        return {name: tuple(sorted(tags[name])) for name in sorted(tags)}

    def node_checks(self, node: str) -> tuple[HealthCheck, ...]:
        """All checks of a node, in the order of their ids."""
        checks = self.checks.get(node, {})
        return tuple(checks[check_id] for check_id in sorted(checks))

    def all_checks(self, state: str) -> tuple[HealthCheck, ...]:
        """All checks in a state, or in any."""
        return tuple(
            check
            for node in sorted(self.checks)
            for check in self.node_checks(node)
            if state == "any" or check.status.value == state
        )

    def _instance(self, node: str, service_id: str) -> ServiceInstance:
        checks = self.node_checks(node)
        return replace(
            self.services[node][service_id],
            node=node,
            node_address=self.nodes[node].address,
            checks=(
                *(c for c in checks if not c.service_id),
                *(c for c in checks if c.service_id == service_id),
            ),
        )

    # --- writing ---

    def put_node(self, index: int, node: NodeInfo, node_id: str) -> None:
        """Register a node; nothing if it is there just so."""
        if self.nodes.get(node.name) == node and self.node_ids.get(node.name) == node_id:
            return
        self.nodes[node.name] = node
        self.node_ids[node.name] = node_id
        self.services.setdefault(node.name, {})
        self.checks.setdefault(node.name, {})
        self.nodes_index = index
        self._touch_node(index, node.name)

    def is_reserved(self, node: str, node_id: str) -> bool:
        """Whether that name is borne by another node that is not known to have failed."""
        known = self.node_ids.get(node)
        if known is None or known == node_id or not known:
            return False
        serf = self.checks[node].get(SERF_HEALTH)
        return serf is None or serf.status is not CheckStatus.CRITICAL

    def put_service(self, index: int, node: str, service: ServiceInstance) -> None:
        """Register a service on a node that is there; nothing if it is there just so."""
        services = self.services[node]
        old = services.get(service.id)
        if old == service:
            return
        if old is not None and old.name != service.name:
            self._forget_name(index, node, old)
        services[service.id] = service
        self._names.setdefault(service.name, {})[node, service.id] = None
        self.services_index = index
        self._touch_name(index, service.name)

    def put_check(self, index: int, node: str, check: HealthCheck) -> str | None:
        """Register a check on a node that is there; what is wrong with it, or None."""
        if check.service_id:
            service = self.services[node].get(check.service_id)
            if service is None:
                return "Missing service registration"
            if check.service_name != service.name:
                check = replace(check, service_name=service.name)
        checks = self.checks[node]
        if checks.get(check.check_id) == check:
            return None
        checks[check.check_id] = check
        self.checks_index = index
        if check.service_id:
            self._touch_name(index, check.service_name)
        else:
            self._touch_node(index, node)
        return None

    def remove_check(self, index: int, node: str, check_id: str) -> bool:
        """Whether there was such a check."""
        check = self.checks.get(node, {}).pop(check_id, None)
        if check is None:
            return False
        self.checks_index = index
        if check.service_id:
            self._touch_name(index, check.service_name)
        else:
            self._touch_node(index, node)
        return True

    def remove_service(self, index: int, node: str, service_id: str) -> list[str] | None:
        """Remove it with its checks, whose ids are returned; None if there is no such service."""
        service = self.services.get(node, {}).get(service_id)
        if service is None:
            return None
        checks = self.checks[node]
        gone = [c.check_id for c in checks.values() if c.service_id == service_id]
        for check_id in gone:
            del checks[check_id]
        self.checks_index = self.services_index = index
        del self.services[node][service_id]
        self._forget_name(index, node, service)
        return gone

    def remove_node(self, index: int, node: str) -> bool:
        """Remove a node with all that is on it; whether there was one."""
        if node not in self.nodes:
            return False
        for service_id in list(self.services[node]):
            self.remove_service(index, node, service_id)
        if self.checks[node]:
            self.checks_index = index
        del self.nodes[node], self.node_ids[node], self.services[node], self.checks[node]
        self.nodes_index = index
        return True

    def named_anew(self) -> None:
        """Find out anew which services there are, after all of it was replaced."""
        self._health.clear()
        self._names.clear()
        for node, services in self.services.items():
            for service in services.values():
                self._names.setdefault(service.name, {})[node, service.id] = None

    def _forget_name(self, index: int, node: str, service: ServiceInstance) -> None:
        places = self._names[service.name]
        del places[node, service.id]
        self._touch_name(index, service.name)
        if not places:
            del self._names[service.name]
            del self.service_indexes[service.name]
            self.extinct_index = index

    def _touch_node(self, index: int, node: str) -> None:
        for service in self.services[node].values():
            self._touch_name(index, service.name)

    def _touch_name(self, index: int, name: str) -> None:
        self.service_indexes[name] = index
        self._health.pop(name, None)
        self.touched[name] = None
