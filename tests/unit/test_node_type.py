"""Which nodes may lead."""

from __future__ import annotations

import pytest

from coord.node_type import (
    EligibleWhy,
    NodeType,
    NodeTypeVia,
    find_eligibility,
    find_node_type,
)


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("core", NodeType.CORE),
        ("core-elx", NodeType.CORE),
        ("web", NodeType.WEB),
        ("web-ng", NodeType.WEB),
        ("poller", NodeType.POLLER),
        ("poller-elx", NodeType.POLLER),
        (" Core ", NodeType.CORE),
        ("corre", NodeType.UNKNOWN),
        ("core-1", NodeType.UNKNOWN),
        ("unknown", NodeType.UNKNOWN),
        ("", NodeType.UNKNOWN),
    ],
)
@pytest.mark.parametrize("node", ["core-1", "poller-1", "db-1"])
def test_the_setting_decides_whatever_the_name(setting: str, node: str, kind: NodeType) -> None:
    found = find_node_type(setting, node)
    assert (found.node_type, found.via) == (kind, NodeTypeVia.SETTING)


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        ("core", NodeType.CORE),
        ("core-1", NodeType.CORE),
        ("core1", NodeType.CORE),
        ("core_1", NodeType.CORE),
        ("CORE-1", NodeType.CORE),
        ("core-elx-3", NodeType.CORE),
        ("core.example.net", NodeType.CORE),
        ("web-ng-02", NodeType.WEB),
        ("web", NodeType.WEB),
        ("poller-elx-3", NodeType.POLLER),
        ("poller7", NodeType.POLLER),
        ("website-1", NodeType.UNKNOWN),
        ("coreos", NodeType.UNKNOWN),
        ("pollers", NodeType.UNKNOWN),
        ("my-core-1", NodeType.UNKNOWN),
        ("db-1", NodeType.UNKNOWN),
        ("", NodeType.UNKNOWN),
    ],
)
def test_without_a_setting_the_prefix_of_the_name_decides(node: str, kind: NodeType) -> None:
    found = find_node_type(None, node)
    assert (found.node_type, found.via, found.text) == (kind, NodeTypeVia.NODE_NAME, node)


@pytest.mark.parametrize(
    ("kind", "override", "eligible", "why"),
    [
        (NodeType.CORE, None, True, EligibleWhy.NODE_TYPE_MAY_LEAD),
        (NodeType.WEB, None, True, EligibleWhy.NODE_TYPE_MAY_LEAD),
        (NodeType.POLLER, None, False, EligibleWhy.NODE_TYPE_MAY_NOT_LEAD),
        (NodeType.UNKNOWN, None, False, EligibleWhy.NODE_TYPE_UNKNOWN),
        *[(kind, True, True, EligibleWhy.SET_ELIGIBLE) for kind in NodeType],
        *[(kind, False, False, EligibleWhy.SET_NOT_ELIGIBLE) for kind in NodeType],
    ],
)
def test_eligibility(
    kind: NodeType, override: bool | None, eligible: bool, why: EligibleWhy
) -> None:
    found = find_eligibility(kind, override)
    assert (found.eligible, found.why) == (eligible, why)
