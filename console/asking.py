"""Asks the nodes what they say of themselves: `/api/health`, at the addresses that Consul has.

Whoever may register a service writes these addresses, and whoever listens there the answers: no
token, cookie or credential is sent, through no proxy, no redirect is followed, and what is too long
or makes no sense is unreadable.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import httpx

from console.snapshot import Answer, NodeSaid
from coord.records import MAX_TERM
from coord.status import ClusterStatus, Member
from coord.status.rows import leading_member

PATH = "/api/health?cluster=false"
"""What each is asked for, without what it would read from Consul only for that."""

MOST = 32
"""How many nodes are asked in a round."""

AT_ONCE = 8
"""How many at a time."""

WAIT_S = 1.0
"""How long one may take to answer, in seconds."""

LONGEST = 64 * 1024
"""The longest answer that is read, in bytes."""

MOST_TEXT = 256
"""The longest text that is taken over, in characters."""

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})):[0-9]{1,5}")
_STATUSES = (200, 503)


def whom(status: ClusterStatus, selected: str, most: int = MOST) -> tuple[tuple[Member, ...], int]:
    """Whom to ask, one for each address, and how many are left out: the leader comes first, then
    the node `selected`, by its name, then those whose check passes."""
    leading = leading_member(status.candidates.items, status.leader)
    found: dict[str, Member] = {}
    for member in (*status.candidates.items, *status.observers.items):
        if not is_address(member.address):
            continue
        other = found.get(member.address)
        if other is None or member.status.severity < other.status.severity:
            found[member.address] = member

    def order(member: Member) -> tuple[bool, bool, int, str]:
        leads = member.node == status.leader_node
        chosen = bool(selected) and member.node == selected
        return (not (leads or member == leading), not chosen, member.status.severity, member.node)

    ordered = sorted(found.values(), key=order)
    return tuple(ordered[:most]), max(0, len(ordered) - most)


def is_address(text: str) -> bool:
    """Whether it is a host and a port, and nothing else that a URL might have."""
    port = text.rpartition(":")[2]
    return _ADDRESS.fullmatch(text) is not None and 0 < int(port) < 65536


class Asker:
    """Asks, a few at a time. Close it."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=WAIT_S,
            # Only http is spoken: no certificates need be loaded for it.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            headers={"accept": "application/json", "accept-encoding": "identity"},
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0),
        )
        self._places = asyncio.Semaphore(AT_ONCE)

    async def aclose(self) -> None:
        """Ask nobody any more."""
        await self._client.aclose()

    async def ask(
        self, members: Iterable[Member], election: str, before: Sequence[NodeSaid], now: float
    ) -> tuple[NodeSaid, ...]:
        """What each says of itself; one that says nothing that can be read says so.

        before: what they said in the last round. now: the monotonic time, in seconds.
        """
        last = {(each.node, each.address): each for each in before}
        asked = [self._ask(member, election) for member in members]
        found = await asyncio.gather(*asked)
        return tuple(compared(each, last.get((each.node, each.address)), now) for each in found)

    async def _ask(self, member: Member, election: str) -> NodeSaid:
        made = NodeSaid(node=member.node, address=member.address, answer=Answer.UNREACHABLE)
        async with self._places:
            try:
                async with asyncio.timeout(WAIT_S):
                    status, body = await self._get(member.address)
            except TimeoutError:
                return replace(made, detail=f"no answer within {WAIT_S:g} s")
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                return replace(made, detail=_cut(str(error) or type(error).__name__))
        return understood(made, election, status, body)

    async def _get(self, address: str) -> tuple[int, bytes]:
        body = b""
        async with self._client.stream("GET", f"http://{address}{PATH}") as response:
            self._client.cookies.clear()
            async for part in response.aiter_raw():
                body += part
                if len(body) > LONGEST:
                    break
            return response.status_code, body


def understood(made: NodeSaid, election: str, status: int, body: bytes) -> NodeSaid:
    """What an answer says, if it is one."""
    try:
        return _read(made, election, status, body)
    except (ValueError, RecursionError) as error:
        detail = "nested too deep" if isinstance(error, RecursionError) else _cut(str(error))
        return replace(made, answer=Answer.UNREADABLE, detail=detail)


def _read(made: NodeSaid, election: str, status: int, body: bytes) -> NodeSaid:
    if len(body) > LONGEST:
        raise ValueError(f"longer than {LONGEST // 1024} KiB")
    if status not in _STATUSES:
        raise ValueError(f"HTTP status {status}")
    try:
        said = json.loads(body)
    except ValueError:
        raise ValueError("not JSON") from None
    if not isinstance(said, dict):
        raise ValueError("not a JSON object")
    node, of = _text(said, "node"), _text(said, "election")
    if (node, of) != (made.node, election):
        detail = f"{node} of election {of} answers there"
        return replace(made, answer=Answer.ANOTHER, detail=_cut(detail))
    return replace(
        made,
        answer=Answer.ANSWERED,
        state=_text(said, "state"),
        why_not=_text(said, "why_not_leader", none=True),
        detail=_text(said, "why_not_detail"),
        leader_node=_text(said, "leader_node", none=True),
        term=_term(said, "term"),
        consul=_text(said, "consul"),
    )


def _text(said: dict[str, Any], name: str, *, none: bool = False) -> str:
    value = said.get(name)
    if value is None and none:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name}: not a text")
    return _cut(value)


def _cut(text: str) -> str:
    # Half of a pair of surrogates is no text that could be written down.
    text = text.encode(errors="replace").decode()
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _term(said: dict[str, Any], name: str) -> int | None:
    value = said.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_TERM:
        raise ValueError(f"{name}: not a term")
    return value


def compared(said: NodeSaid, before: NodeSaid | None, now: float) -> NodeSaid:
    """The same with since when it is so, given what it said in the round before."""
    answers = said.answer is Answer.ANSWERED
    if before is None:
        return replace(said, since=now)
    if answers:
        same = before.answer is Answer.ANSWERED and before.state == said.state
        return replace(said, since=before.since if same else now)
    if before.answer is Answer.ANSWERED:
        return replace(said, since=now, answered_before=True)
    return replace(said, since=before.since, answered_before=before.answered_before)
