"""Runs a node as this process: its socket, its clock, its signals, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from dataclasses import replace
from typing import NoReturn

import structlog

from coord.api.server import bind, serving
from coord.application import EXIT_FATAL, Application, Host
from coord.clock import Clock, SystemClock
from coord.config import Settings
from coord.config.values import HostPort
from coord.consul import ConsulApi, ConsulClient
from coord.service_manager import ServiceManager
from coord.telemetry.logs import configure_logging
from coord.telemetry.secrecy import Secrets
from coord.watchdog import Watchdog

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("coord.process")


class ListenError(Exception):
    """The node cannot listen on `where` (host:port)."""

    def __init__(self, where: str, error: OSError) -> None:
        super().__init__(where, error)
        self.where = where
        self.error = error


def _end_process(term: int) -> NoReturn:
    """Work has not stopped in time: nothing may be handed over, and nothing waited for."""
    _log.critical("the work did not stop in time: the process ends", term=term)
    sys.stderr.flush()
    os._exit(EXIT_FATAL)


def host_of(sock: socket.socket, consul: ConsulApi, clock: Clock) -> Host:
    """This process, as a node stands on it; `sock` listens already."""
    host, port = sock.getsockname()[:2]
    return Host(
        consul=consul,
        clock=clock,
        watchdog=Watchdog(clock),
        bound=HostPort(host, port),
        serve=lambda app: serving(app, sock),
        end_process=_end_process,
        random=random.SystemRandom(),
        manager=ServiceManager(),
    )


async def _run(settings: Settings, sock: socket.socket, secrets: Secrets) -> int:
    clock = SystemClock()
    loop = asyncio.get_running_loop()
    async with ConsulClient(settings.consul_address, on_token=secrets.add) as consul:
        host = replace(host_of(sock, consul, clock), secrets=secrets)
        application = Application(settings, host)
        consul.tell_answers(application.metrics.consul_answered)

        def on_signal(number: signal.Signals) -> None:
            # Whatever it is that takes long now: a second signal does not wait for it.
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)
            _log.info("signal: ending gracefully; a second one ends at once", signal=number.name)
            application.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal, number)
        return await application.run()


def run_node(settings: Settings) -> int:
    """Run one node in the foreground until SIGTERM or SIGINT.

    Returns:
        The exit status: 0 after a graceful end, `EXIT_FATAL` if it could not go on.

    Raises:
        ListenError: the address cannot be listened on.
        SettingsError: the settings do not fit together.
        PluginError: a workload, a handler of events, or a sink of results, cannot be used.
    """
    given = (settings.consul_token, settings.poller_token)
    secrets = Secrets(secret.get_secret_value() for secret in given if secret)
    configure_logging(settings.log_format, settings.log_level, secrets=secrets)
    try:
        sock = bind(settings.listen)
    except OSError as error:
        raise ListenError(str(settings.listen), error) from error
    with contextlib.closing(sock):
        return asyncio.run(_run(settings, sock, secrets))
