"""What each finding means, and what to do about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from coord.doctor.codes import Code, Severity, Subject


@dataclass(frozen=True, slots=True)
class Entry:
    """What a code stands for.

    severity: how bad it usually is.
    momentary: it may be so for a moment where nothing is wrong.
    """

    subject: Subject
    severity: Severity
    means: str
    do: str
    momentary: bool = False


_C, _W, _I = Severity.CRITICAL, Severity.WARNING, Severity.INFO

_CONSUL = {
    Code.CONSUL_UNREACHABLE: Entry(
        Subject.CONSUL,
        _C,
        "The agent does not answer here. Whether anybody leads cannot be told from here.",
        "See that the agent runs and that CONSUL_HTTP_ADDR names it; then ask again from a node.",
    ),
    Code.CONSUL_NO_LEADER: Entry(
        Subject.CONSUL,
        _C,
        "Consul's servers have no leader: nothing can be written, work is suspended, and nobody "
        "can take over until they have one.",
        "Bring back a majority of Consul's servers. The election goes on by itself.",
    ),
    Code.CONSUL_VERSION: Entry(
        Subject.CONSUL,
        _I,
        "This version of Consul is not among those that coord is tested with.",
        "Nothing, if it works: coord uses what current Consul documents. Before 1.7 it does not.",
    ),
    Code.CONSUL_SLOW: Entry(
        Subject.CONSUL,
        _W,
        "Reads take a good part of a lease: a little more, and a leader suspends its work.",
        "Look for load or slow disks on Consul's servers, or lengthen lease and lock_delay.",
        momentary=True,
    ),
    Code.CONSUL_ELECTS_SLOWLY: Entry(
        Subject.CONSUL,
        _I,
        "Where Consul loses its leader it takes over 10 s to elect another; work is suspended "
        "meanwhile.",
        "Set performance.raft_multiplier to 1 on Consul's servers if they have the CPU for it.",
    ),
    Code.AGENT_IS_SERVER: Entry(
        Subject.CONSUL,
        _I,
        "Candidates use an agent that is itself one of Consul's servers: losing that host costs a "
        "server and a candidate at once.",
        "Fine for small fleets. Otherwise run candidates beside client agents.",
    ),
    Code.RIGHTS_MISSING: Entry(
        Subject.RIGHTS,
        _W,
        "The token lacks rights that its role needs.",
        "Give it the policy that `coord doctor --policy ROLE` prints.",
    ),
}

_TIMING = {
    Code.TIMING_UNSAFE: Entry(
        Subject.TIMING,
        _C,
        "By these values alone one node could start to work before another has stopped.",
        "Give all nodes the same timing, and one that holds: `coord config` shows and checks it.",
    ),
    Code.TIMING_DIFFERS: Entry(
        Subject.TIMING,
        _I,
        "Nodes are configured with different timing: takeovers take as long as the slowest says.",
        "Give all nodes the same timing, unless you are just changing it.",
    ),
}

_KEYS = {
    Code.LEADER_KEY_MISSING: Entry(
        Subject.KEYS,
        _C,
        "The leader key is gone: it was deleted, with whatever else was deleted. Candidates wait "
        "out a quarantine and create it again.",
        "Find out who deletes keys below the election's root. Do not create it by hand.",
        momentary=True,
    ),
    Code.LEADER_RECORD_UNREADABLE: Entry(
        Subject.KEYS,
        _C,
        "Something else than coord wrote the leader key. Its leader stops at once; the next one "
        "writes a sound record.",
        "Find out who writes there. If it stays so while candidates run, see the runbook.",
        momentary=True,
    ),
    Code.LEADER_KEY_EDITED: Entry(
        Subject.KEYS,
        _W,
        "Something else than coord wrote the leader key: what it says may not be so, and a "
        "hand-over that it tells of does not count.",
        "Find out who writes there. The next change of leader puts it right.",
        momentary=True,
    ),
    Code.TERM_KEY_MISSING: Entry(
        Subject.KEYS,
        _C,
        "The term key is gone: fenced writes are refused, and a leader that sees it steps down.",
        "Find out who deletes it. Do not create it: the next leader does, with a higher term.",
        momentary=True,
    ),
    Code.TERM_KEY_UNREADABLE: Entry(
        Subject.KEYS,
        _C,
        "Something else than coord wrote the term key: fenced writes are refused, and a leader "
        "that sees it steps down.",
        "Find out who writes there. Do not mend it: the next leader does, with a higher term.",
        momentary=True,
    ),
    Code.TERM_WENT_BACK: Entry(
        Subject.KEYS,
        _C,
        "The term is lower than one that was held before: Consul was restored, or the key edited. "
        "Receivers that have seen the higher term refuse the leader's writes.",
        "After a restore, stop every node and start them again. Do not raise the key by hand.",
        momentary=True,
    ),
    Code.TERM_MISMATCH: Entry(
        Subject.KEYS,
        _W,
        "The record and the term key name different terms: one of them was edited, and a leader "
        "that sees it steps down.",
        "Find out who writes there. The next change of leader puts it right.",
        momentary=True,
    ),
}

_LEADER = {
    Code.TWO_LEADERS: Entry(
        Subject.LEADER,
        _C,
        "Two nodes are found as the leader. Only the one on the leader key may work; the other "
        "does not know yet, hangs, or is no node of this election.",
        "Stop the node that the leader key does not name, and look into its log.",
        momentary=True,
    ),
    Code.NOBODY_LEADS: Entry(
        Subject.LEADER,
        _C,
        "Candidates are there and none of them leads, for longer than a takeover takes.",
        "Look at what each of them says; `coord status NODE` tells more.",
        momentary=True,
    ),
    Code.LEADER_NOT_REGISTERED: Entry(
        Subject.LEADER,
        _W,
        "The leader key is held in the name of a node of which no candidate passes its check.",
        "If it does not come back by itself: `coord force-release`.",
        momentary=True,
    ),
    Code.LEADER_SERVICE_MISSING: Entry(
        Subject.LEADER,
        _W,
        "Somebody holds the leader key, but no leader is found in discovery: its work has not "
        "started, is suspended, or hangs; or the token may not read that service.",
        "Ask the leader's /api/health, and look into its log. If it hangs: `coord force-release`.",
        momentary=True,
    ),
    Code.LEADER_SERVICE_MISMATCH: Entry(
        Subject.LEADER,
        _W,
        "Discovery names another leader than the leader key: whoever follows it talks to a node "
        "that does not lead.",
        "Look at that node: it hangs, or is cut off. Its entry goes once its check fails.",
        momentary=True,
    ),
    Code.LEADER_FLAPS: Entry(
        Subject.LEADER,
        _W,
        "The leader changes again and again, and no operator asked for it.",
        "See with `coord history` how each one ended; load, gossip or its work are at fault.",
    ),
}

_SESSIONS = {
    Code.SESSION_SETTINGS_WRONG: Entry(
        Subject.SESSIONS,
        _C,
        "The leader's session would not protect as it should: its lock-delay is shorter than told, "
        "the key would be deleted with it, or it has no TTL to end it where all else fails.",
        "It was not made by coord. Let another lead: `coord force-release`.",
    ),
    Code.SESSION_WITHOUT_CHECK: Entry(
        Subject.SESSIONS,
        _W,
        "The leader's session does not hang on its candidate's check: it stays when the process "
        "dies.",
        "It was not made by coord, or the check is gone. Let another lead: `coord force-release`.",
        momentary=True,
    ),
    Code.SESSION_WITHOUT_SERF_HEALTH: Entry(
        Subject.SESSIONS,
        _W,
        "The leader's session does not hang on serfHealth: it stays when the host is lost.",
        "It was not made by coord. Let another lead: `coord force-release`.",
    ),
    Code.ORPHANED_SESSION: Entry(
        Subject.SESSIONS,
        _W,
        "Sessions in the name of this election belong to no candidate that lives.",
        "`coord doctor --fix` destroys those that hold nothing.",
        momentary=True,
    ),
}

_MEMBERS = {
    Code.NO_CANDIDATES: Entry(
        Subject.CANDIDATES,
        _C,
        "No candidate is registered and passing: nobody can take over.",
        "Start a node that may lead: `coord node`.",
        momentary=True,
    ),
    Code.SINGLE_CANDIDATE: Entry(
        Subject.CANDIDATES,
        _W,
        "If the only candidate ends, nobody takes over.",
        "Start a second node that may lead, on another host.",
        momentary=True,
    ),
    Code.CANDIDATE_CRITICAL: Entry(
        Subject.CANDIDATES,
        _W,
        "A node's check fails: its process ended, hangs, or its host is lost. It cannot take over.",
        "Look at that node: if its token is refused, its own /api/health says so. If it is gone "
        "for good, its entry goes after five minutes.",
        momentary=True,
    ),
    Code.CANDIDATE_WITHOUT_SESSION: Entry(
        Subject.CANDIDATES,
        _W,
        "A candidate that passes its check has no session: it cannot take over.",
        "Look into its log: the token may lack session:write, or a further check fails.",
        momentary=True,
    ),
    Code.DUPLICATE_NODE_NAME: Entry(
        Subject.CANDIDATES,
        _W,
        "Nodes share a name: drain, transfer and history cannot tell them apart.",
        "Give each node a name of its own: --node (COORDINATOR_NODE).",
        momentary=True,
    ),
    Code.STALE_SERVICE: Entry(
        Subject.SERVICES,
        _I,
        "Entries of processes that are gone are still registered, failing.",
        "Nothing: agents take them away after five minutes. `coord doctor --fix` does it now.",
        momentary=True,
    ),
}

_CONTROLS = {
    Code.PAUSED: Entry(
        Subject.CONTROLS,
        _I,
        "The election is paused: if the leader goes, nobody follows.",
        "`coord resume` when you are done.",
    ),
    Code.PAUSE_EXPIRED: Entry(
        Subject.CONTROLS,
        _W,
        "A pause was over more than an hour ago and stands: nobody ran who would take it away.",
        "`coord resume`, or `coord doctor --fix`.",
    ),
    Code.ALL_DRAINED: Entry(
        Subject.CONTROLS,
        _W,
        "Every candidate is drained: a vacancy lasts for 30 s, until one leads as a last resort.",
        "`coord undrain NODE` for one of them.",
    ),
    Code.DRAINED_LEADER: Entry(
        Subject.CONTROLS,
        _W,
        "The leader is drained, others are there, and it leads on: it does not see that it is "
        "drained, or led as a last resort.",
        "`coord step-down` lets one of the others follow.",
        momentary=True,
    ),
    Code.REQUEST_UNANSWERED: Entry(
        Subject.CONTROLS,
        _W,
        "The leader was asked for something and does not do it: it hangs, or cannot reach Consul.",
        "Look at the leader. To take over from one that does not answer: `coord force-release`.",
        momentary=True,
    ),
    Code.REQUEST_LEFT_OVER: Entry(
        Subject.CONTROLS,
        _W,
        "A request to a leader of another term still stands. Nobody obeys it.",
        "`coord doctor --fix` takes it away.",
        momentary=True,
    ),
    Code.CONTROL_UNREADABLE: Entry(
        Subject.CONTROLS,
        _W,
        "Something else than coord wrote there. What cannot be read is not obeyed.",
        "Find out who wrote it, and delete the key.",
    ),
    Code.AUDIT_UNFINISHED: Entry(
        Subject.AUDIT,
        _I,
        "An operation was begun and its outcome never written: it was interrupted.",
        "See with `coord history` what came of it.",
    ),
    Code.AUDIT_UNREADABLE: Entry(
        Subject.AUDIT,
        _W,
        "Something else than coord wrote into the audit.",
        "Find out who may write there: only operators should.",
    ),
}

_JOURNAL = {
    Code.JOURNAL_TOO_FULL: Entry(
        Subject.JOURNAL,
        _W,
        "The journal has far more entries than are kept: no leader prunes it.",
        "See whether anybody leads, and whether its token may delete keys below journal/.",
        momentary=True,
    ),
    Code.JOURNAL_UNREADABLE: Entry(
        Subject.JOURNAL,
        _I,
        "Something else than coord wrote into the journal.",
        "Nothing: the leader prunes it in time. Find out who writes there.",
    ),
    Code.CLOCK_SKEW: Entry(
        Subject.CLOCKS,
        _I,
        "Wall clocks differ between hosts. The election decides nothing by them. Polling is timed "
        "by the leader's, so another leader polls at other times; history reads oddly.",
        "See that the hosts run NTP.",
    ),
}

CATALOGUE: dict[Code, Entry] = {
    **_CONSUL,
    **_TIMING,
    **_KEYS,
    **_LEADER,
    **_SESSIONS,
    **_MEMBERS,
    **_CONTROLS,
    **_JOURNAL,
}
"""Every code has its entry."""
