"""What observability/ and docs/ say fits the code, and every link in it leads somewhere."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import coord
from coord.election.reasons import WhyNot
from coord.election.states import State
from coord.polling.records import POLL_OUTCOMES, PollError
from coord.records import Paths
from coord.runbooks import find, read_runbook
from coord.telemetry import Event
from coord.telemetry.metric_parts import CONSUL_ERROR_KINDS
from docs.telemetry_tables import EVENTS, events_text, leaders_metrics, metrics_text

REPO = Path(__file__).resolve().parent.parent.parent
OBSERVABILITY = REPO / "observability"
RULES = (OBSERVABILITY / "rules.yml").read_text()
ALERTS = re.findall(r"^ +- alert: (\w+)$", RULES, re.MULTILINE)
SERVED = {
    sample.name: set(sample.labels)
    for family in text_string_to_metric_families(leaders_metrics())
    for sample in family.samples
}


# --- the alerts ----------------------------------------------------------------------------------


def test_every_alert_has_what_whoever_is_woken_needs() -> None:
    parts = re.split(r"^ +- alert: ", RULES, flags=re.MULTILINE)[1:]
    assert len(parts) == len(set(ALERTS)) == 12
    for part in parts:
        for needed in ("severity:", "summary:", "description:", "runbook_url:"):
            assert part.count(needed) == 1, (part.splitlines()[0], needed)
        assert re.search(r"severity: (critical|warning|info)$", part, re.MULTILINE)


def test_every_alert_links_to_its_section_of_the_runbook_and_none_is_left_over() -> None:
    urls = re.findall(r"runbook_url: '(.*)'", RULES)
    begin = '{{ or $externalLabels.runbooks "runbooks" }}/'
    titles = []
    for url in urls:
        assert url.startswith(begin)
        book, section = find("runbooks/" + url.removeprefix(begin))
        assert book.name == "alerts"
        assert section is not None
        titles.append(section.title)
    assert titles == ALERTS
    assert [s.title for s in read_runbook("alerts").sections] == [*ALERTS, "Never"]


def test_the_page_on_monitoring_has_every_alert_with_its_severity() -> None:
    page = (REPO / "docs/monitoring.md").read_text()
    severities = re.findall(r"severity: (\w+)", RULES)
    assert len(severities) == len(ALERTS)
    for alert, severity in zip(ALERTS, severities, strict=True):
        row = f"[{alert}](../runbooks/alerts.md#{alert.lower()}) | {severity} |"
        assert row in page, alert


def expressions() -> Iterator[str]:
    """Of the rules and of the dashboard."""
    yield re.sub(r"(?m)^ *#.*$|annotations:[^-]*?runbook_url:.*$", "", RULES)
    board = json.loads((OBSERVABILITY / "grafana/coordinator.json").read_text())
    yield from (target["expr"] for panel in board["panels"] for target in panel.get("targets", []))
    yield from (note["expr"] for note in board["annotations"]["list"])


def test_what_is_asked_for_is_what_nodes_serve() -> None:
    asked = {name for expr in expressions() for name in re.findall(r"\bcoordinator_\w+", expr)}
    assert len(asked) > 20
    assert asked - set(SERVED) == set()


def test_the_words_that_alerts_look_for_are_words_that_nodes_say() -> None:
    words = {
        "reason": {why.value for why in WhyNot} | {"no_answer"},
        "state": {state.value for state in State},
        "kind": set(CONSUL_ERROR_KINDS),
        "outcome": {*POLL_OUTCOMES, "completed"},
    }
    found = re.findall(r'(reason|state|kind|outcome)[=!]~?"([a-z_|]+)"', RULES)
    assert {label for label, _ in found} == set(words)
    for label, said in found:
        assert set(said.split("|")) <= words[label], label


def test_no_outcome_of_a_poll_is_forgotten() -> None:
    assert {error.value for error in PollError} < set(POLL_OUTCOMES)


def test_the_example_looks_for_the_services_that_nodes_register() -> None:
    text = (OBSERVABILITY / "prometheus.yml").read_text()
    (services,) = re.findall(r"services: \[(.*)\]", text)
    paths = Paths("coordinator")
    assert services.split(", ") == [paths.candidate_service, paths.observer_service]
    assert Paths("NAME").candidate_service == "NAME-coordinator-candidate"
    (pattern,) = re.findall(r'service=~"([^"]+)"', RULES)
    for candidates in (paths, Paths("other")):
        assert re.fullmatch(pattern, candidates.candidate_service)
        assert not re.fullmatch(pattern, candidates.observer_service)


# --- the dashboard -------------------------------------------------------------------------------


def panels() -> list[dict[str, Any]]:
    board = json.loads((OBSERVABILITY / "grafana/coordinator.json").read_text())
    return list(board["panels"])


def test_panels_say_what_they_show_and_lie_beside_each_other() -> None:
    places = []
    for panel in panels():
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        places.append((panel["title"], place))
        if panel["type"] != "row":
            assert panel["description"].endswith(".")
            assert panel["targets"]
            assert panel["datasource"]["uid"] == "${datasource}"
            for target in panel["targets"]:
                assert 'election="$election"' in target["expr"]
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, (one, other)
    assert len({panel["id"] for panel in panels()}) == len(places)


# --- the generated tables ------------------------------------------------------------------------


def test_every_event_that_coord_tells_is_in_the_catalogue() -> None:
    for module in pkgutil.walk_packages(coord.__path__, "coord."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[Event]) -> Iterator[type[Event]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    told = {kind for kind in below(Event) if kind.__module__.startswith("coord.")}
    assert {kind.EVENT for kind in told} == {kind.EVENT for kind in EVENTS}


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.NAME)
def test_an_event_is_told_with_all_its_fields(kind: type[Event]) -> None:
    section = events_text().split(f"## {kind.EVENT}\n")[1].split("\n## ")[0]
    own = [name for name in kind.__dataclass_fields__ if name not in Event.__dataclass_fields__]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == own
    for name in own:
        if name.endswith("_ms"):
            assert f"| `{name}` | ms" in section
    assert "None" not in section


def test_every_link_of_the_events_leads_to_words() -> None:
    text = events_text()
    for name in set(re.findall(r"\]\(#(\w+)\)", text)):
        assert re.search(rf"(?mi)^## {name}$", text), name


def test_every_metric_has_its_row_with_its_labels() -> None:
    table = metrics_text()
    for name, labels in SERVED.items():
        if name.endswith(("_bucket", "_count", "_sum")):
            continue
        row = next(line for line in table.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{label}`" in row for label in labels), row
    (told,) = re.findall(r"serves (\d+) series", table)
    samples = [line for line in leaders_metrics().splitlines() if not line.startswith("#")]
    assert int(told) == len(samples)
