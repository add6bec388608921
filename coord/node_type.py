"""Which kind of node this is, and whether it may lead.

The kind comes from the setting, else from the prefix of the node's name; nodes of an unknown kind
do not lead. `COORDINATOR_ELIGIBLE` overrides all of it.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class NodeType(enum.StrEnum):
    """The kinds of node there are."""

    CORE = "core"
    WEB = "web"
    POLLER = "poller"
    UNKNOWN = "unknown"

    @property
    def may_lead(self) -> bool:
        """Whether nodes of this kind lead unless told otherwise."""
        return self in (NodeType.CORE, NodeType.WEB)


class NodeTypeVia(enum.StrEnum):
    """What a node's kind was found from."""

    SETTING = "setting"
    NODE_NAME = "node_name"


class EligibleWhy(enum.StrEnum):
    """Why a node may lead, or may not."""

    NODE_TYPE_MAY_LEAD = "node_type_may_lead"
    NODE_TYPE_MAY_NOT_LEAD = "node_type_may_not_lead"
    NODE_TYPE_UNKNOWN = "node_type_unknown"
    SET_ELIGIBLE = "set_eligible"
    SET_NOT_ELIGIBLE = "set_not_eligible"


@dataclass(frozen=True, slots=True)
class NodeTypeFound:
    """A node's kind, what it was found from, and the text that said so."""

    node_type: NodeType
    via: NodeTypeVia
    text: str


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether a node may lead, and why."""

    eligible: bool
    why: EligibleWhy


NODE_TYPE_NAMES: dict[str, NodeType] = {
    "core": NodeType.CORE,
    "core-elx": NodeType.CORE,
    "web": NodeType.WEB,
    "web-ng": NodeType.WEB,
    "poller": NodeType.POLLER,
    "poller-elx": NodeType.POLLER,
}
"""Every spelling of a kind that the setting accepts."""

# "core-1", "core1", "core.example.net" and "web-ng-02" have a prefix; "website-1" has none.
_PREFIX = re.compile(r"(core|web|poller)(?![a-z])")


def find_node_type(setting: str | None, node: str) -> NodeTypeFound:
    """The kind named by `setting`, else by the prefix of the name `node`; upper case is fine.

    A setting that names no kind gives UNKNOWN: a guess from the name would hide the mistake.
    """
    if setting is not None:
        kind = NODE_TYPE_NAMES.get(setting.strip().lower(), NodeType.UNKNOWN)
        return NodeTypeFound(kind, NodeTypeVia.SETTING, setting)
    prefix = _PREFIX.match(node.lower())
    kind = NodeType(prefix.group(1)) if prefix else NodeType.UNKNOWN
    return NodeTypeFound(kind, NodeTypeVia.NODE_NAME, node)


def find_eligibility(node_type: NodeType, override: bool | None) -> Eligibility:
    """Whether a node of this kind may lead; `override` is the setting `eligible`."""
    if override is not None:
        why = EligibleWhy.SET_ELIGIBLE if override else EligibleWhy.SET_NOT_ELIGIBLE
        return Eligibility(override, why)
    if node_type is NodeType.UNKNOWN:
        return Eligibility(False, EligibleWhy.NODE_TYPE_UNKNOWN)
    if node_type.may_lead:
        return Eligibility(True, EligibleWhy.NODE_TYPE_MAY_LEAD)
    return Eligibility(False, EligibleWhy.NODE_TYPE_MAY_NOT_LEAD)
