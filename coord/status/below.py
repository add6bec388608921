"""Everything below a prefix of keys, and whether the token may see it at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from coord.consul import Consistency, ConsulApi, ConsulNotPermitted, Denied, KVEntry
from coord.members import Seen


@dataclass(frozen=True, slots=True)
class Below:
    """The keys below a prefix; with `seen` NOT_PERMITTED there may be others than `entries`, and
    `denied` says what is wrong with the token."""

    seen: Seen
    entries: tuple[KVEntry, ...] = ()
    denied: Denied | None = None


async def read_below(
    consul: ConsulApi,
    prefix: str,
    probe: str,
    *,
    proof: Collection[str] = (),
    consistency: Consistency = Consistency.DEFAULT,
) -> Below:
    """Read everything below `prefix`, which ends with a slash.

    Consul leaves out of a list what the token may not read, and says nothing of it; a single key
    that is denied it refuses, be there one or not. So `probe` is read besides, unless the list
    holds a key of `proof` (of any key where that is empty): then what is there is to be seen.

    Raises:
        ConsulError: Consul did not answer; a lack of rights is said by `seen`.
    """
    entries: tuple[KVEntry, ...] = ()
    try:
        entries = (await consul.kv_list(prefix, consistency=consistency)).value
        found = {entry.key for entry in entries}
        if not (found & set(proof) if proof else found):
            await consul.kv_get(probe, consistency=consistency)
    except ConsulNotPermitted as error:
        return Below(Seen.NOT_PERMITTED, entries, error.denied)
    return Below(Seen.KNOWN, entries)
