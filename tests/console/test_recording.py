"""What is recorded comes back as it was, costs little, and no file can do harm."""

from __future__ import annotations

import gzip
import json
import os
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from console_bench import StoppedClock
from console_said import otherwise
from console_scenes import NOW, leading, polls, thousand
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import NIGHT, a_night, every_kind, recorded
from snapshots import NOW_MS

from console.recording.form import Encoder
from console.recording.patch import difference, patched
from console.recording.reading import RecordingError, read_recording
from console.recording.writing import LIMIT_BYTES, Ended, Recorder
from console.snapshot import Contact, Snapshot

NAMES = ("x.jsonl", "x.jsonl.gz")


def said(path: Path) -> str:
    """What is said of a recording that cannot be played."""
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    return str(caught.value)


def assert_same(found: Snapshot, meant: Snapshot) -> None:
    """An error of Consul's is equal to itself alone: of errors it counts what they say."""
    assert Encoder().tree(found) == Encoder().tree(meant)
    assert (found.status, found.past, found.sessions) == (meant.status, meant.past, meant.sessions)
    for name in ("failing", "past_error", "sessions_error", "examination"):
        assert repr(getattr(found, name)) == repr(getattr(meant, name))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def written(path: Path, found: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in found))
    return path


# --- differences ---

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)


@given(old=VALUES, new=VALUES)
def test_a_difference_makes_the_new_of_the_old(old: Any, new: Any) -> None:
    patch = difference(old, new)
    if patch is None:
        assert old == new
    else:
        assert patched(old, json.loads(json.dumps(patch))) == new


@given(old=VALUES, patch=VALUES)
def test_what_is_no_difference_is_refused_as_that(old: Any, patch: Any) -> None:
    with suppress(ValueError):
        patched(old, patch)


def test_one_node_of_a_thousand_is_a_short_line() -> None:
    old = [{"node": f"n-{i}", "state": "standby"} for i in range(1000)]
    new = [*old[:500], {"node": "n-500", "state": "gone"}, *old[501:]]
    assert len(json.dumps(difference(old, new))) < 100
    # As a journal that is full: one more at its end, one fewer at its beginning.
    assert len(json.dumps(difference(old, [*old[1:], {"node": "n", "state": "new"}]))) < 100


# --- there and back ---


@pytest.mark.parametrize("name", NAMES)
def test_everything_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    shots = every_kind()
    recording = read_recording(recorded(tmp_path / name, shots))
    assert (recording.header.election, recording.torn) == ("x", False)
    assert len(recording.frames) == len(shots)
    # In any order: one frame is made of what others before it say.
    for i in (*range(len(shots)), *reversed(range(len(shots)))):
        assert_same(recording.snapshot(i), shots[i])


def test_a_recording_from_before_polls_were_recorded_is_played(tmp_path: Path) -> None:
    head, *rest = lines(a_night(tmp_path / "x"))
    for line in rest:
        for told in ("polls", "polls_error", "poll_board", "said"):
            line["new"].get("=", {}).pop(told, None)
            line["new"].get("~", {}).pop(told, None)
    old = written(tmp_path / "old", [head | {"coord_recording": 1}, *rest])
    recording = read_recording(old)
    shots = [recording.snapshot(i) for i in range(len(NIGHT))]
    assert [shot.polls for shot in shots] == [None] * len(NIGHT)
    assert shots[1].status == NIGHT[1]().status


def test_that_nodes_say_the_same_again_is_no_change(tmp_path: Path) -> None:
    shot = otherwise()
    assert shot.said is not None
    again = replace(shot, said=replace(shot.said, at=shot.said.at + 5))
    (first, *nodes) = shot.said.nodes
    assert again.said is not None
    other = replace(
        again, said=replace(again.said, nodes=(replace(first, state="suspended"), *nodes))
    )
    path = recorded(tmp_path / "x", [shot, again, other])
    assert [frame.told for frame in read_recording(path).frames] == [True, False, True]
    assert len(path.read_text().splitlines()[2]) < 100


def test_what_does_not_change_is_not_written(tmp_path: Path) -> None:
    shot = leading()
    recording = read_recording(recorded(tmp_path / "x", [shot, shot, leading()]))
    assert len(recording.frames) == 1


def test_leaders_and_changes_are_found(tmp_path: Path) -> None:
    frames = read_recording(a_night(tmp_path / "x")).frames
    assert [frame.leads for frame in frames] == [
        None, ("core-1", 7), ("core-1", 7), None, ("core-1", 7), ("core-1", 7),
    ]  # fmt: skip
    assert [frame.changed for frame in frames] == [False, False, False, True, True, False]
    assert all(frame.told for frame in frames)


def test_a_fleet_at_rest_costs_little_and_is_no_change(tmp_path: Path) -> None:
    shot = replace(thousand(), polls=polls())
    assert shot.status is not None
    again = replace(
        shot,
        status=replace(shot.status, at_ms=shot.status.at_ms + 5000),
        read_at=NOW + 5,
        contact=Contact(1.234567, shot.contact.servers),
        polls=replace(polls(), at_ms=polls().at_ms + 15_000, last_ms=NOW_MS, open_runs=3),
    )
    path = recorded(tmp_path / "x", [shot, again])
    first, second = path.read_bytes().splitlines()[1:]
    assert len(first) > 100_000 > 300 > len(second)
    recording = read_recording(path)
    assert [frame.told for frame in recording.frames] == [True, False]
    assert_same(recording.snapshot(1), again)


# --- writing ---


def test_nobody_else_may_read_it_and_nothing_is_overwritten(tmp_path: Path) -> None:
    path = a_night(tmp_path / "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        Recorder(path, clock=StoppedClock())


def test_it_ends_when_it_is_full_and_can_be_read(tmp_path: Path) -> None:
    told: list[Ended] = []
    recorder = Recorder(tmp_path / "x", clock=StoppedClock(), limit_bytes=6000)
    recorder.on_end = told.append
    shot, tries = leading(), 0
    while recorder.ended is None and tries < 1000:
        tries += 1
        recorder.record(replace(shot, read_at=float(tries)))
    assert [ended.why for ended in told] == ["it has reached 0 MiB"]
    assert (tmp_path / "x").stat().st_size < 16_000
    assert len(read_recording(tmp_path / "x").frames) == recorder.changes < 1000
    assert LIMIT_BYTES >= 100 * 1024**2


def test_a_disk_that_is_full_ends_the_recording_alone(tmp_path: Path) -> None:
    told: list[Ended] = []
    recorder = Recorder(tmp_path / "x", clock=StoppedClock())
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, recorder._file.fileno())
    os.close(full)
    recorder.on_end = told.append
    recorder.record(leading())
    recorder.record(NIGHT[3]())
    assert [ended.why for ended in told] == ["No space left on device"]
    recorder.close()


@pytest.mark.parametrize("name", NAMES)
def test_no_token_gets_into_it(tmp_path: Path, name: str) -> None:
    token, rotated = 'a"token\\of-ours', "0f1e2d3c-another"
    recorder = Recorder(tmp_path / name, clock=StoppedClock(), secrets=[token])
    recorder.hide(rotated)
    shot = leading()
    recorder.record(replace(shot, address=f"there {token}"))
    recorder.record(replace(shot, address=f"there {rotated}!", election=token))
    recorder.close()
    raw = (tmp_path / name).read_bytes()
    text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
    for secret in (token, rotated):
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text
    recording = read_recording(tmp_path / name)
    assert [recording.snapshot(i).address for i in (0, 1)] == ["there ***", "there ***!"]


# --- reading what is broken ---


@pytest.mark.parametrize("name", NAMES)
def test_a_crash_in_the_midst_of_a_line_spoils_no_other(tmp_path: Path, name: str) -> None:
    path = a_night(tmp_path / name)
    whole = read_recording(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:-15])
    torn = read_recording(path)
    assert torn.torn
    assert len(torn.frames) == len(whole.frames) - (name == "x.jsonl")
    assert_same(torn.snapshot(2), whole.snapshot(2))


def test_what_is_still_being_written_can_be_read(tmp_path: Path) -> None:
    for name in NAMES:
        recorder = Recorder(tmp_path / name, clock=StoppedClock())
        recorder.record(leading())
        assert len(read_recording(tmp_path / name).frames) == 1
        recorder.close()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "line 1: it is not how a recording begins"),
        (b"hello\n", "line 1: it is no JSON"),
        (b"[]\n", "line 1: it is not how a recording begins"),
        (b'{"coord_recording": 99}\n', "line 1: the format is 99"),
        (b'{"coord_recording": 1}\n', "line 1: election is missing"),
        (b"[" * 100_000 + b"\n", "line 1: it is nested too deep"),
        (b"\x1f\x8bnothing of the kind\n", "line 1: from here on the compressed file is damaged"),
        (b"\xff\xfe\x00\n", "line 1: it is no JSON"),
    ],
)
def test_what_is_no_recording_is_told_so(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    told = said(path)
    assert told.startswith(f"{path}, {expected}")
    assert ";" in told, "it says what to do"


def _set(key: str, value: Any) -> Any:
    def change(line: dict[str, Any]) -> dict[str, Any]:
        return {**line, key: value}

    return change


def _of_candidates(patch: Any) -> Any:
    return {"~": {"status": {"~": {"candidates": {"~": {"items": patch}}}}}}


@pytest.mark.parametrize(
    ("number", "change", "expected"),
    [
        (3, _set("at", "soon"), "line 3: at: "),
        (3, _set("at", 5.0), "line 3: at: it is earlier"),
        (3, _set("at", float("1e400")), "line 3: it is no JSON"),
        (3, _set("new", {"~": {"nothing": {"=": 1}}}), "line 3: new: the field 'nothing'"),
        (3, _set("new", {"~": {"read_at": {"=": 1e300}}}), "line 3: new: read_at: a number"),
        (3, _set("at", 1e300), "line 3: at: "),
        (
            4,
            _set("new", {"~": {"status": {"~": {"at_ms": {"=": 10**14}}}}}),
            "line 4: new: at_ms: a number that is too large",
        ),
        (3, _set("new", {"?": 1}), "line 3: new: '?' is no kind of change"),
        (3, _set("new", {"=": [1]}), "line 3: new: it is no snapshot"),
        (2, _set("new", {"=": {}}), "line 2: address: is missing"),
        (3, _set("new", {"+": {"evil": 1}}), "line 3: evil: no such field"),
        (3, _set("new", {"~": {"status": {"=": 7}}}), "line 3: status"),
        (3, _set("new", {"~": {"read_at": {"=": "x"}}}), "line 3: read_at: "),
        (4, _set("new", {"~": {"status": {"~": {"at_ms": {"=": "x"}}}}}), "line 4: status.at_ms"),
        (
            4,
            _set("new", _of_candidates({"@": [[99, {}]]})),
            "line 4: new: status: candidates: items: an item is changed that is not there",
        ),
        (
            4,
            _set("new", _of_candidates({"#": [[0, 1, [7]]]})),
            "line 4: status.candidates.items.0",
        ),
    ],
)  # fmt: skip
def test_damage_in_its_midst_names_line_and_field(
    tmp_path: Path, number: int, change: Any, expected: str
) -> None:
    found = lines(a_night(tmp_path / "good"))
    found[number - 1] = change(found[number - 1])
    told = said(written(tmp_path / "x", found))
    assert told.startswith(f"{tmp_path / 'x'}, {expected}")
    if number > 2:
        assert told.endswith(f"head -n {number - 1}")


def test_a_compressed_file_damaged_in_its_midst_names_the_line(tmp_path: Path) -> None:
    path = a_night(tmp_path / "x.gz")
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(raw)
    assert ", line " in said(path)


def test_what_is_not_there_is_told_so(tmp_path: Path) -> None:
    assert said(tmp_path / "no").endswith("No such file or directory")
    assert said(tmp_path).endswith("Is a directory")


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 60_000), put=st.binary(max_size=30), of=st.sampled_from(["x", "x.gz"]))
def test_no_file_ends_in_anything_but_a_word_of_ours(
    tmp_path_factory: pytest.TempPathFactory, cut: int, put: bytes, of: str
) -> None:
    directory = tmp_path_factory.mktemp("broken")
    path = a_night(directory / of)
    raw = path.read_bytes()
    at = cut % len(raw)
    path.write_bytes(raw[:at] + put + raw[at + len(put) :])
    try:
        recording = read_recording(path)
    except RecordingError:
        return
    for i in range(len(recording.frames)):
        assert isinstance(recording.snapshot(i), Snapshot)
