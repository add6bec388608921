"""What the doctor may find, how bad that is, and what it is about. Pure."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    """Nothing is wrong; worth knowing."""
    WARNING = "warning"
    """It works, but something is not as it should be."""
    CRITICAL = "critical"
    """Nobody leads, or soon nobody can, or what keeps two leaders apart is damaged."""

    @property
    def rank(self) -> int:
        """0 info, 1 warning, 2 critical."""
        return ("info", "warning", "critical").index(self.value)


class Subject(StrEnum):
    """What is looked at."""

    CONSUL = "consul"
    RIGHTS = "rights"
    TIMING = "timing"
    KEYS = "keys"
    LEADER = "leader"
    SESSIONS = "sessions"
    CANDIDATES = "candidates"
    SERVICES = "services"
    CONTROLS = "controls"
    AUDIT = "audit"
    JOURNAL = "journal"
    CLOCKS = "clocks"


class Code(StrEnum):
    """What may be found, in the order in which equally bad things are told."""

    CONSUL_UNREACHABLE = "consul_unreachable"
    CONSUL_NO_LEADER = "consul_no_leader"
    TWO_LEADERS = "two_leaders"
    LEADER_KEY_MISSING = "leader_key_missing"
    LEADER_RECORD_UNREADABLE = "leader_record_unreadable"
    LEADER_KEY_EDITED = "leader_key_edited"
    TERM_KEY_MISSING = "term_key_missing"
    TERM_KEY_UNREADABLE = "term_key_unreadable"
    TERM_WENT_BACK = "term_went_back"
    TERM_MISMATCH = "term_mismatch"
    NOBODY_LEADS = "nobody_leads"
    NO_CANDIDATES = "no_candidates"
    TIMING_UNSAFE = "timing_unsafe"
    SESSION_SETTINGS_WRONG = "session_settings_wrong"
    SESSION_WITHOUT_CHECK = "session_without_check"
    SESSION_WITHOUT_SERF_HEALTH = "session_without_serf_health"
    LEADER_NOT_REGISTERED = "leader_not_registered"
    LEADER_SERVICE_MISSING = "leader_service_missing"
    LEADER_SERVICE_MISMATCH = "leader_service_mismatch"
    RIGHTS_MISSING = "rights_missing"
    CANDIDATE_CRITICAL = "candidate_critical"
    CANDIDATE_WITHOUT_SESSION = "candidate_without_session"
    DUPLICATE_NODE_NAME = "duplicate_node_name"
    SINGLE_CANDIDATE = "single_candidate"
    PAUSED = "paused"
    PAUSE_EXPIRED = "pause_expired"
    ALL_DRAINED = "all_drained"
    DRAINED_LEADER = "drained_leader"
    REQUEST_UNANSWERED = "request_unanswered"
    REQUEST_LEFT_OVER = "request_left_over"
    CONTROL_UNREADABLE = "control_unreadable"
    LEADER_FLAPS = "leader_flaps"
    ORPHANED_SESSION = "orphaned_session"
    STALE_SERVICE = "stale_service"
    TIMING_DIFFERS = "timing_differs"
    JOURNAL_TOO_FULL = "journal_too_full"
    JOURNAL_UNREADABLE = "journal_unreadable"
    AUDIT_UNFINISHED = "audit_unfinished"
    AUDIT_UNREADABLE = "audit_unreadable"
    CLOCK_SKEW = "clock_skew"
    CONSUL_VERSION = "consul_version"
    CONSUL_SLOW = "consul_slow"
    CONSUL_ELECTS_SLOWLY = "consul_elects_slowly"
    AGENT_IS_SERVER = "agent_is_server"
