"""The images: coord's own of its Dockerfile, and stand-ins for those that cannot be pulled here.

A stand-in has the program, its user and its place for data where the published image has them, on
the base that was bootstrapped.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from demo import REPO
from tests.docker.engine import Engine
from tests.docker.obtain import CA_BUNDLE, Obtained

BOOTSTRAPPED, BASE = "coord-test/bootstrapped:1", "coord-test/base:1"
IMAGES: Mapping[str, str] = {
    "COORD_IMAGE": "coord-test/coord:1",
    "CONSUL_IMAGE": "coord-test/consul:1",
    "PROMETHEUS_IMAGE": "coord-test/prometheus:1",
    "ALERTMANAGER_IMAGE": "coord-test/alertmanager:1",
}
"""By the variable of the compose file that names it."""

BUILD_S = 600.0

BASE_WITH_BUNDLE = f"""
FROM {BOOTSTRAPPED}
COPY bundle {CA_BUNDLE}
ENV PIP_CERT={CA_BUNDLE}
"""
CONSUL = f"""
FROM {BASE}
RUN groupadd --system consul && useradd --system --gid consul --no-create-home consul \\
    && mkdir -p /consul/data && chown -R consul:consul /consul
COPY consul /bin/consul
VOLUME /consul/data
ENTRYPOINT ["consul"]
"""
PROMETHEUS = f"""
FROM {BASE}
RUN mkdir /prometheus && chown nobody /prometheus
COPY prometheus promtool /bin/
USER nobody
ENTRYPOINT ["/bin/prometheus"]
"""
ALERTMANAGER = f"""
FROM {BASE}
RUN mkdir /alertmanager && chown nobody /alertmanager
COPY alertmanager /bin/
USER nobody
ENTRYPOINT ["/bin/alertmanager"]
"""


def build(engine: Engine, obtained: Obtained) -> None:
    """Make all of them; what is as it was takes no time.

    engine: one that is on the machine's network.

    Raises EngineError.
    """
    # What an older tree has left; a stage that is not used as it was is made again.
    engine.docker("image", "prune", "--force", "--filter", "until=72h")
    _make_base(engine, obtained.base)
    _build_coord(engine)
    tools = obtained.prometheus
    _build(engine, IMAGES["CONSUL_IMAGE"], CONSUL, {"consul": obtained.consul})
    prometheus = {"prometheus": tools.prometheus, "promtool": tools.promtool}
    _build(engine, IMAGES["PROMETHEUS_IMAGE"], PROMETHEUS, prometheus)
    # Debian's has its templates beside it, and a script that finds them there.
    debians = tools.alertmanager.with_name("prometheus-alertmanager")
    if debians.exists():
        files = {"alertmanager": debians, "share": tools.alertmanager.with_name("share")}
        text = ALERTMANAGER.replace("USER", "COPY share /usr/share\nUSER")
    else:
        files, text = {"alertmanager": tools.alertmanager}, ALERTMANAGER
    _build(engine, IMAGES["ALERTMANAGER_IMAGE"], text, files)


def _make_base(engine: Engine, tar: Path) -> None:
    made_of = f"{tar.name}-{tar.stat().st_size}-{tar.stat().st_mtime_ns}"
    if not engine.docker("images", "--quiet", f"--filter=label=made-of={made_of}").strip():
        engine.docker("import", f"--change=LABEL made-of={made_of}", str(tar), BOOTSTRAPPED)
    # Whom this machine trusts, pip shall trust in a build, too.
    bundle = {"bundle": CA_BUNDLE} if CA_BUNDLE.is_file() else {}
    _build(engine, BASE, BASE_WITH_BUNDLE if bundle else f"FROM {BOOTSTRAPPED}", bundle)


def _build_coord(engine: Engine) -> None:
    files = [REPO / "docker-compose.yml", Path(__file__).with_name("build.yml")]
    flags = [f"--file={path}" for path in files]
    engine.docker(
        *("compose", f"--project-directory={REPO}", "--env-file=/dev/null", *flags),
        *("build", "core-1"),
        # As Compose builds unless told otherwise; the stand-ins need no more than the older way.
        env={**IMAGES, "BASE_IMAGE": BASE, "COORDINATOR_POLLER_TOKEN": "-", "DOCKER_BUILDKIT": "1"},
        timeout_s=BUILD_S,
    )


def _build(engine: Engine, tag: str, text: str, files: Mapping[str, Path]) -> None:
    """Build `tag` of a Dockerfile's text, and of files and directories by their names there."""
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        (room / "Dockerfile").write_text(text)
        for target, path in files.items():
            if path.is_dir():
                shutil.copytree(path, room / target)
            else:
                shutil.copy(path, room / target)
        engine.docker("build", "--network=host", "--tag", tag, name, timeout_s=BUILD_S)
