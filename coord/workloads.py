"""What coordination work is, and how it is found: through entry points, a user's own like ours.

A workload is named by an entry point in the group ``coord.workloads``:

    [project.entry-points."coord.workloads"]
    nightly-report = "acme.reports:NightlyReport"

A name with a colon in it, `acme.reports:NightlyReport`, is taken for such an object itself: for
work that no installed package offers.

The object it names is called once, when the node starts, with a `WorkContext`; it gives back

- an object with a `name` and an ``async def run(leadership)``, as `Workload` says: usually the
  entry point names its class, or
- one `ChildSpec`, or several.

``run`` is called anew for each term, and again when it is restarted: keep what must outlive it in
Consul, and what must not in local variables.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import httpx
from prometheus_client import CollectorRegistry

from coord.clock import Clock
from coord.config import Settings
from coord.consul.api import ConsulApi
from coord.identity import Identity
from coord.leadership import Leadership
from coord.plugins import Plugins
from coord.records import Paths
from coord.supervisor import ChildSpec
from coord.telemetry import Telemetry

GROUP = "coord.workloads"
"""The entry point group in which workloads are named."""

_PLUGINS = Plugins(GROUP, field="workloads", kind="workload")

_OPTIONS = ("restart", "stop_timeout_s", "progress_timeout_s")


@dataclass(frozen=True, slots=True)
class WorkContext:
    """What a workload is made with.

    settings: this node's effective settings.
    identity: who this node is.
    consul: for reading; whatever is written goes through the `Leadership` given to ``run``.
    telemetry: where to tell what happened.
    clock: the one clock to use.
    paths: where this election's keys are.
    http: what carries the work's own HTTP requests instead of real connections; None: these.
    random: from 0 to 1, for spreading what should not happen everywhere at once.
    metrics: where the work's own Prometheus metrics are registered: the node serves what is there.
    """

    settings: Settings
    identity: Identity
    consul: ConsulApi
    telemetry: Telemetry
    clock: Clock
    paths: Paths
    http: httpx.AsyncBaseTransport | None = None
    random: Callable[[], float] = random.random
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)


@runtime_checkable
class Workload(Protocol):
    """Coordination work: runs on the leader, and nowhere else.

    May also have the attributes `restart`, `stop_timeout_s` and `progress_timeout_s`, which mean
    what they mean in `ChildSpec`.
    """

    @property
    def name(self) -> str:
        """Its id under the supervisor: unique among the workloads of a node."""
        ...

    async def run(self, leadership: Leadership) -> None:
        """Work until cancelled; writes go through `leadership` and are fenced."""
        ...


def known_workloads() -> tuple[str, ...]:
    """The names of all workloads that the installed packages offer, sorted."""
    return _PLUGINS.known()


def load_workloads(names: Iterable[str], context: WorkContext) -> tuple[ChildSpec, ...]:
    """The children that the supervisor starts for these workloads, in the order given.

    Raises:
        PluginError: a name is unknown, or two packages offer it, or it cannot be loaded or
            made, or two children would have the same id.
    """
    specs: list[ChildSpec] = []
    owner: dict[str, str] = {}
    for name in names:
        for spec in _make(name, context):
            if spec.id in owner:
                raise _PLUGINS.error(
                    name,
                    f"its child {spec.id!r} has the name of one of workload {owner[spec.id]!r}: "
                    "name each workload once, and give children names of their own",
                )
            owner[spec.id] = name
            specs.append(spec)
    return tuple(specs)


def _make(name: str, context: WorkContext) -> tuple[ChildSpec, ...]:
    made, called = _PLUGINS.make(name, context)
    return _specs(name, made, called)


def specs_of(
    name: str, factory: Any, context: WorkContext, *, called: str = ""
) -> tuple[ChildSpec, ...]:
    """The children of the workload that `factory` gives, as if an entry point had named it.

    name: of the workload. called: what the factory is called in messages; else the name.

    Raises:
        PluginError: it cannot be made, or is no workload.
    """
    called = called or name
    return _specs(name, _PLUGINS.call(name, factory, context, called=called), called)


def _specs(name: str, made: object, called: str) -> tuple[ChildSpec, ...]:
    if isinstance(made, ChildSpec):
        return (made,)
    if isinstance(made, Sequence) and made and all(isinstance(spec, ChildSpec) for spec in made):
        return tuple(made)
    if isinstance(made, Workload) and inspect.iscoroutinefunction(made.run):
        return (_spec(name, called, made),)
    raise _PLUGINS.error(
        name,
        f"{called} gave a {type(made).__name__}: it must give a ChildSpec, several, or an "
        "object with a name and an `async def run(self, leadership)`",
    )


def _spec(name: str, called: str, workload: Workload) -> ChildSpec:
    options = {each: getattr(workload, each) for each in _OPTIONS if hasattr(workload, each)}
    try:
        return ChildSpec(id=workload.name, run=workload.run, **options)
    except (TypeError, ValueError) as error:
        raise _PLUGINS.error(name, f"{called}: {type(error).__name__}: {error}") from error
