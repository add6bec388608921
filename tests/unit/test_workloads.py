"""Workloads are found through entry points; what is wrong with one is said, naming it."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from coord.cluster_health import ClusterHealth
from coord.plugins import PluginError
from coord.restart_policy import Restart
from coord.workloads import GROUP, WorkContext, known_workloads, load_workloads

# No workload here looks into it: what it holds is the business of each.
CONTEXT = cast(WorkContext, object())

SOURCE = """
from coord.restart_policy import Restart
from coord.supervisor import ChildSpec

async def work(leadership): ...

class Full:
    name = "full"
    restart = Restart.TRANSIENT
    stop_timeout_s = 1.5
    progress_timeout_s = 9.0
    def __init__(self, context): self.context = context
    async def run(self, leadership): ...

class Sparse:
    name = "sparse"
    def __init__(self, context): ...
    async def run(self, leadership): ...

class Plain:
    name = "plain"
    def __init__(self, context): ...
    def run(self, leadership): ...

class Nameless:
    name = ""
    def __init__(self, context): ...
    async def run(self, leadership): ...

class Picky:
    def __init__(self, context): raise RuntimeError("no database")

def one(context): return ChildSpec(id="one", run=work)
def two(context): return [ChildSpec(id="a", run=work), ChildSpec(id="b", run=work)]
def none(context): return []
number = 7
"""

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs packages as they lie on disk: a module, and metadata that names entry points."""
    module = f"acme_{uuid.uuid4().hex[:8]}"

    def install(source: str = SOURCE, package: str = "acme", **entries: str) -> str:
        site = tmp_path / package
        info = site / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {module}:{attribute}" for name, attribute in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]))
        monkeypatch.syspath_prepend(str(site))
        return module

    yield install
    sys.modules.pop(module, None)


def refused(*names: str) -> PluginError:
    with pytest.raises(PluginError) as caught:
        load_workloads(names, CONTEXT)
    assert caught.value.field == "workloads"
    return caught.value


def test_our_own_are_found_as_a_users_are() -> None:
    assert {"cluster-health", "poll-orchestrator"} <= set(known_workloads())
    (spec,) = load_workloads(["cluster-health"], _real_context())
    assert spec.id == ClusterHealth.name


def test_a_class_with_all_options(install: Install) -> None:
    install(full="Full")
    (spec,) = load_workloads(["full"], CONTEXT)
    assert (spec.id, spec.restart) == ("full", Restart.TRANSIENT)
    assert (spec.stop_timeout_s, spec.progress_timeout_s) == (1.5, 9.0)
    assert spec.run.__self__.context is CONTEXT  # type: ignore[attr-defined]


def test_a_class_without_options_gets_the_defaults(install: Install) -> None:
    install(sparse="Sparse")
    (spec,) = load_workloads(["sparse"], CONTEXT)
    assert spec.restart is Restart.PERMANENT
    assert spec.progress_timeout_s is None


def test_specs_come_in_the_order_asked_for(install: Install) -> None:
    install(one="one", two="two")
    assert [spec.id for spec in load_workloads(["two", "one"], CONTEXT)] == ["a", "b", "one"]


def test_none_asked_for_is_none() -> None:
    assert load_workloads([], CONTEXT) == ()


def test_an_unknown_name_says_which_are_known(install: Install) -> None:
    install(full="Full")
    error = refused("fill")
    assert error.name == "fill"
    assert "full" in str(error)


@pytest.mark.parametrize("attribute", ["missing", "number", "none", "Plain", "Nameless", "Picky"])
def test_a_broken_one_is_named(install: Install, attribute: str) -> None:
    module = install(broken=attribute)
    error = refused("broken")
    assert error.name == "broken"
    assert module in str(error)


def test_a_module_that_cannot_be_imported_is_named(install: Install) -> None:
    install("raise OSError('disk on fire')", broken="thing")
    error = refused("broken")
    assert isinstance(error.__cause__, OSError)


def test_one_name_of_two_packages_is_refused(install: Install) -> None:
    install(same="one")
    install(package="other", same="two")
    assert refused("same").name == "same"


def test_one_twice_is_refused(install: Install) -> None:
    install(one="one")
    assert refused("one", "one").name == "one"


def _real_context() -> WorkContext:
    class Clock:
        def now(self) -> float:
            return 0.0

        def wall_ms(self) -> int:
            return 0

    class Context:
        clock = Clock()

    return cast(WorkContext, Context())


def test_a_reference_needs_no_package_metadata(install: Install) -> None:
    module = install()
    (spec,) = load_workloads([f"{module}:Full"], CONTEXT)
    assert spec.id == "full"


@pytest.mark.parametrize("name", ["a:b:c", ":", "a b:c", "a:", ":b"])
def test_a_malformed_reference_says_how_to_write_one(name: str) -> None:
    assert "package.module:object" in str(refused(name))
