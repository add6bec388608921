"""What the runbooks say of Consul's own pages is on those pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents import AgentConfig, ConsulAgent
from demo import REPO
from get_consul import consul_version

LABELS = ("Lock Session", "Invalidate Session", "Lock Sessions", "Invalidate", "Key/Value")


def test_the_words_of_the_ui_are_there(consul_binary: Path, tmp_path: Path) -> None:
    if not consul_version(consul_binary).startswith("1.8."):
        pytest.skip("later versions load their words in parts, after the page")
    with ConsulAgent(AgentConfig(name="ui", directory=tmp_path, binary=consul_binary)) as agent:
        _, page = agent.request("GET", "/ui/")
        scripts = re.findall(r'src="([^"]+\.js)"', page.decode())
        shown = " ".join(agent.request("GET", path)[1].decode() for path in scripts)
    text = (REPO / "runbooks/force-leader-change.md").read_text()
    for label in LABELS:
        assert label in " ".join(text.split())
        assert re.search(rf"\b{label}\b", shown), label
