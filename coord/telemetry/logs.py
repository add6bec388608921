"""Logging: structlog and the standard library's loggers through one renderer, onto stderr.

Secrets never get out: the values of fields that are named like one are masked, and so are the
strings that are known to be secret, wherever they turn up, tracebacks included.

On a console an event is the time of day (UTC), its level and one sentence (`words`); as JSON it
is its full name with all of its fields.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from coord.telemetry import Event, to_dict, words
from coord.telemetry.lasting_fault import FaultNotice, FaultPhase
from coord.telemetry.secrecy import MASK, Secrets

FORMATS = ("auto", "json", "console")
"""What `configure_logging` knows; auto is console on a terminal, else json."""

LEVELS = ("debug", "info", "warning", "error", "critical")

_SECRET_KEY = re.compile(r"token|secret|authorization|password|passwd|credential|api_?key", re.I)
_NOT_SECRET_KEY = re.compile(r"_(file|path|source)$", re.I)
_SECRET_TEXT = re.compile(
    r"([?&]token=|x-consul-token['\"]?\s*[:=]\s*['\"]?|bearer\s+)[^\s&'\",]+", re.I
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_OF_MANY_LINES = ("exception", "stack")

SENTENCE = "said_in_words"
"""The field that holds what a console shows in place of an event's name and fields."""

_KEPT_BESIDE_A_SENTENCE = ("timestamp", "level", "exception", "stack")

_event_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("coord.events")
_fault_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("coord.faults")


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, told apart from what others put on the root logger."""

    def __init__(self, stream: TextIO, level: int) -> None:
        super().__init__(stream)
        self._shown_from = level

    def filter(self, record: logging.LogRecord) -> bool:
        """Take what uvicorn tells of its own life for debugging: the node tells of its own."""
        if record.name == "uvicorn.error" and record.levelno == logging.INFO:
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return record.levelno >= self._shown_from and bool(super().filter(record))


def configure_logging(
    log_format: str = "auto",
    level: str = "info",
    *,
    secrets: Iterable[str] | Secrets = (),
    stream: TextIO | None = None,
) -> None:
    """Set up logging for the whole process; calling it again replaces the set-up.

    log_format: auto, json or console.
    level: the lowest level that is shown.
    secrets: strings that must never be shown, such as the configured tokens; where they are
        `Secrets`, more may be added later.
    stream: where to write; stderr unless given.

    Raises:
        ValueError: an unknown format or level; names the setting and what it may be.
    """
    if log_format not in FORMATS:
        raise ValueError(f"log_format is {log_format!r}; it must be one of {', '.join(FORMATS)}")
    if level.lower() not in LEVELS:
        raise ValueError(f"log_level is {level!r}; it must be one of {', '.join(LEVELS)}")
    out = sys.stderr if stream is None else stream
    on_terminal = out.isatty()
    as_json = log_format == "json" or (log_format == "auto" and not on_terminal)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(out, logging.getLevelNamesMapping()[level.upper()])
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                Masker(secrets),
                *_renderer(as_json, colors=on_terminal and not os.environ.get("NO_COLOR")),
            ],
        )
    )
    _install(handler, level.upper())


def _renderer(as_json: bool, *, colors: bool) -> list[Processor]:
    if as_json:
        return [_without_sentence, structlog.processors.JSONRenderer(sort_keys=False)]
    # The plain traceback: the rich one shows local variables, and these may hold anything.
    return [
        _for_people,
        escape_control_characters,
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        ),
    ]


def _without_sentence(logger: WrappedLogger, name: str, event_dict: EventDict) -> EventDict:
    event_dict.pop(SENTENCE, None)
    return event_dict


def _for_people(logger: WrappedLogger, name: str, event_dict: EventDict) -> EventDict:
    """What a console shows: the sentence if there is one, no empty fields, the time of day."""
    sentence = event_dict.pop(SENTENCE, None)
    if sentence is not None:
        event_dict = {k: v for k, v in event_dict.items() if k in _KEPT_BESIDE_A_SENTENCE}
        event_dict["event"] = sentence
    shown = {k: v for k, v in event_dict.items() if k == "event" or v not in (None, "")}
    if str(shown.get("logger", "")).partition(".")[0] == "coord":
        del shown["logger"]  # the text says what it is about
    # 2026-01-31T12:34:56.789012Z -> 12:34:56.789Z
    shown["timestamp"] = re.sub(r"^.*T(.*\.\d{3})\d*", r"\1", str(shown["timestamp"]))
    return shown


def _install(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # One line for each request to Consul, or from a health check, would bury the rest.
    for name in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)


class Masker:
    """A structlog processor that masks secrets: by field name, by shape and by known value."""

    def __init__(self, secrets: Iterable[str] | Secrets = ()) -> None:
        self._secrets = secrets if isinstance(secrets, Secrets) else Secrets(secrets)

    def __call__(self, logger: WrappedLogger, name: str, event_dict: EventDict) -> EventDict:
        return {key: self._field(key, value) for key, value in event_dict.items()}

    def text(self, text: str) -> str:
        """The text without the secrets."""
        return _SECRET_TEXT.sub(rf"\g<1>{MASK}", self._secrets.masked(text))

    def _field(self, key: object, value: Any) -> Any:
        named = str(key)
        if value and _SECRET_KEY.search(named) and not _NOT_SECRET_KEY.search(named):
            return MASK
        return self._value(value)

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(str(value))
        if isinstance(value, Mapping):
            return {self.text(str(k)): self._field(k, v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset | dict):
            return [self._value(item) for item in value]
        # Anything else would be shown by its repr: do that here, where it can be masked.
        return self.text(repr(value))


def escape_control_characters(logger: WrappedLogger, name: str, event_dict: EventDict) -> EventDict:
    """A structlog processor for terminals: what others wrote must not steer the terminal."""
    return {key: _escaped(key, value) for key, value in event_dict.items()}


def _escaped(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_escaped(key, item) for item in value]
    if isinstance(value, dict):
        return {_escaped("", k): _escaped(key, v) for k, v in value.items()}
    if not isinstance(value, str):
        return value
    pattern = _CONTROL_IN_LINES if key in _OF_MANY_LINES else _CONTROL
    return pattern.sub(lambda match: f"\\x{ord(match[0]):02x}", value)


def log_event(event: Event) -> None:
    """The log's telemetry handler: one line for each event, at its `log_level`."""
    said = {k: v for k, v in to_dict(event).items() if v is not None and k != "at_ms"}
    name = said.pop("event")
    said[SENTENCE] = words.of_event(event)
    _event_log.log(logging.getLevelNamesMapping()[event.log_level.upper()], name, **said)


def log_fault(notice: FaultNotice) -> None:
    """What `LastingFault` emits to: loud at first and while it lasts, plain when it is over."""
    level = logging.INFO if notice.phase is FaultPhase.OVER else logging.ERROR
    sentence = words.of_fault(notice)
    said: dict[str, Any] = {"detail": notice.detail} if notice.detail else {}
    # What it was is old news when it is over.
    told = notice.detail if notice.phase is not FaultPhase.OVER else ""
    said[SENTENCE] = f"{sentence}: {told}" if told else sentence
    _fault_log.log(
        level,
        sentence,
        fault=str(notice.kind),
        phase=notice.phase.value,
        duration_s=round(notice.duration_s, 3),
        count=notice.count,
        **said,
    )
