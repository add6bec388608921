"""What the nodes of `console_scenes.fleet` say of themselves, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console_scenes import HOSTILE, NOW, leading

from console.snapshot import Answer, NodeSaid, Said, Snapshot


def says(node: str, port: int, state: str, **fields: Any) -> NodeSaid:
    """A node of the fleet answers, and has said the same for a while."""
    given: dict[str, Any] = {
        "node": node,
        "address": f"127.0.0.1:{port}",
        "answer": Answer.ANSWERED,
        "state": state,
        "leader_node": "core-1",
        "consul": "ok",
        "since": NOW - 300.0,
    }
    return NodeSaid(**given | fields)


CORE_1 = says("core-1", 8611, "leading", term=7)
CORE_2 = says("core-2", 8612, "standby", why_not="held_by_other")


def with_said(*nodes: NodeSaid, shown: Snapshot | None = None, **fields: Any) -> Snapshot:
    """The snapshot with what these said 3 s ago."""
    given: dict[str, Any] = {
        "at": NOW - 3.0,
        "leader_node": "core-1",
        "term": 7,
        "since": NOW - 700.0,
        "nodes": nodes,
    }
    return replace(leading() if shown is None else shown, said=Said(**given | fields))


def otherwise() -> Snapshot:
    """One says that it leads, too, one that is gone answers, one cannot be reached, one is evil."""
    return with_said(
        CORE_1,
        replace(CORE_2, state="leading", why_not="", term=6, leader_node="core-2"),
        says("core-3", 8613, "", answer=Answer.UNREACHABLE, detail="connection refused"),
        says("core-4", 8615, "standby", why_not="held_by_other"),
        says("web-1", 8614, "", answer=Answer.UNREADABLE, detail=HOSTILE),
    )
