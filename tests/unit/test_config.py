"""Settings: precedence, where values come from, every way to get them wrong, masking."""

from __future__ import annotations

import pickle
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.config import (
    NO_FLAG_FIELDS,
    SECRET_FIELDS,
    TIMING_FIELDS,
    HostPort,
    Settings,
    SettingsError,
    SourceKind,
    env_name,
    flag_name,
    format_duration,
)
from coord.config.sources import Problem, nearest
from coord.config.values import (
    InvalidValueError,
    parse_bool,
    parse_consul_addr,
    parse_count,
    parse_duration,
    parse_host_port,
    parse_list,
    parse_name,
)
from coord.election.timing import Timing

TOKEN = "b1gs3cret-0000"


def load(**kwargs: Any) -> Settings:
    """Settings that nothing of this machine's environment reaches."""
    kwargs.setdefault("environ", {})
    kwargs.setdefault("node", "core-1")
    return Settings(**kwargs)


def problems(**kwargs: Any) -> dict[str | None, Problem]:
    with pytest.raises(SettingsError) as caught:
        load(**kwargs)
    assert all(problem.fix for problem in caught.value.problems)
    # One line for each, whatever was in the values.
    assert len(str(caught.value).splitlines()) == len(caught.value.problems)
    return {problem.field: problem for problem in caught.value.problems}


@pytest.fixture
def toml(tmp_path: Path) -> Any:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "coord.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# --- precedence and sources ---


def test_defaults_are_those_of_the_contract() -> None:
    settings = Settings(environ={})
    assert settings.timing == Timing()
    assert settings.election == "coordinator"
    assert settings.listen == HostPort("127.0.0.1", 8610)
    assert settings.workloads == ("cluster-health", "poll-orchestrator")
    assert settings.consul_url == "http://127.0.0.1:8500"
    assert {str(source) for source in settings.sources.values()} == {"default"}
    assert set(settings.sources) == set(Settings.model_fields)


def test_flags_beat_environment_beats_file_beats_defaults(toml: Any) -> None:
    path = toml('lease = "1s"\nfence_grace = "300ms"\nlock_delay = 4000\n')
    environ = {"COORDINATOR_LEASE": "1200ms", "COORDINATOR_FENCE_GRACE": "400"}
    settings = load(config=path, environ=environ, lease="1500ms")
    assert (settings.lease, settings.fence_grace) == (1.5, 0.4)
    assert (settings.lock_delay, settings.takeover_delay) == (4.0, 1.0)
    sources = {name: str(source) for name, source in settings.sources.items()}
    assert sources["lease"] == "flag --lease"
    assert sources["fence_grace"] == "env COORDINATOR_FENCE_GRACE"
    assert sources["lock_delay"] == f"file {path}"
    assert sources["takeover_delay"] == "default"


def test_takeover_delay_from_the_environment_is_milliseconds() -> None:
    assert load(environ={"COORDINATOR_TAKEOVER_DELAY": "2000"}).timing.takeover_delay == 2.0


def test_config_file_named_by_flag_beats_the_one_in_the_environment(
    toml: Any, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("min_nodes = 7")
    path = toml("min_nodes = 3")
    environ = {"COORDINATOR_CONFIG": str(path)}
    assert load(environ=environ).min_nodes == 3
    assert load(environ=environ).config_path == path
    assert load(environ=environ, config=other).min_nodes == 7


def test_the_process_environment_is_read_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COORDINATOR_ELECTION", "east")
    assert Settings(node="core-1").election == "east"
    assert load().election == "coordinator"


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_is_not_set(empty: str) -> None:
    settings = load(environ={"COORDINATOR_ELIGIBLE": empty, "CONSUL_HTTP_TOKEN": empty})
    assert settings.eligible is None
    assert settings.consul_token is None
    assert settings.sources["eligible"].kind is SourceKind.DEFAULT


def test_a_flag_that_is_none_was_not_given() -> None:
    assert load(environ={"COORDINATOR_MIN_NODES": "4"}, min_nodes=None).min_nodes == 4


def test_every_setting_can_be_set_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    values = dict.fromkeys(Settings.model_fields, "core-1")
    values |= {name: format_duration(getattr(Timing(), name)) for name in TIMING_FIELDS}
    values |= dict.fromkeys(("restart_window", "health_interval"), "7s")
    values |= dict.fromkeys(("listen", "advertise", "consul_addr"), "h:1")
    values |= dict.fromkeys(("eligible", "read_only", "consul_ssl", "consul_ssl_verify"), "true")
    values |= dict.fromkeys(("poller_capacity", "priority", "max_restarts", "min_nodes"), "2")
    values |= {"poller_forbidden_networks": "10.0.0.0/8"}
    values |= {"log_format": "json", "log_level": "debug"}
    values |= {name: str(file) for name in Settings.model_fields if name.endswith("_file")}
    values |= dict.fromkeys(("consul_cacert", "consul_client_cert", "consul_client_key"), str(file))
    settings = Settings(environ={env_name(name): value for name, value in values.items()})
    assert {source.kind for source in settings.sources.values()} == {SourceKind.ENV}
    assert settings.unknown_variables == ()


def test_consul_is_named_as_its_own_tools_name_it() -> None:
    consul = {env_name(name) for name in Settings.model_fields if name.startswith("consul_")}
    assert consul == {
        "CONSUL_HTTP_ADDR",
        "CONSUL_HTTP_TOKEN",
        "CONSUL_HTTP_TOKEN_FILE",
        "CONSUL_HTTP_SSL",
        "CONSUL_HTTP_SSL_VERIFY",
        "CONSUL_CACERT",
        "CONSUL_CLIENT_CERT",
        "CONSUL_CLIENT_KEY",
    }
    assert env_name("check_ttl") == "COORDINATOR_CHECK_TTL"
    assert flag_name("check_ttl") == "--check-ttl"


def test_settings_are_immutable_and_comparable() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.lease = 9.0
    assert settings == load()
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_dump_can_be_loaded_again() -> None:
    settings = load(lease="1500ms", listen="[::1]:0", session_checks="a,b", eligible=False)
    again = Settings(environ={}, **settings.model_dump())
    assert again.model_dump() == settings.model_dump()


# --- the file ---


def test_tables_of_the_file(toml: Any) -> None:
    path = toml(
        'min_nodes = 2\nsession_checks = ["disk", "db"]\n'
        '[timing]\nlease = "1s"\nconfirm_interval = 250\n'
        '[consul]\naddr = "https://consul:8501"\nssl_verify = true\n'
        '[poller]\ncapacity = 3\n[log]\nformat = "json"\n[health]\ninterval = "1m"\n'
    )
    settings = load(config=path)
    assert settings.session_checks == ("disk", "db")
    assert (settings.lease, settings.confirm_interval, settings.health_interval) == (1, 0.25, 60)
    assert (settings.consul_addr, settings.poller_capacity) == ("https://consul:8501", 3)
    assert settings.log_format == "json"
    assert str(settings.sources["consul_addr"]) == f"file {path}"


@pytest.mark.parametrize(
    ("text", "field", "suggested"),
    [
        ("leese = 1", "leese", "lease"),
        ("[timing]\nlock_dely = 1", "timing.lock_dely", "timing.lock_delay"),
        ("[timing]\nmin_nodes = 1", "timing.min_nodes", "min_nodes"),
        ("[consul]\nadr = 'x'", "consul.adr", "consul.addr"),
        ("[timings]\nlease = 1", "timings", "timing"),
        ("zzzzzzzz = 1", "zzzzzzzz", None),
        ("timing = 3", "timing", None),
        ('"a\\nb\\u001b[2J" = 1', "a\nb\x1b[2J", None),
    ],
)
def test_unknown_keys_of_the_file_are_refused(
    toml: Any, text: str, field: str, suggested: str | None
) -> None:
    path = toml(text)
    found = problems(config=path)
    assert set(found) == {field}
    assert str(found[field].source) == f"file {path}"
    if suggested:
        assert suggested in found[field].fix


def test_a_key_given_twice_is_refused(toml: Any) -> None:
    assert set(problems(config=toml("lease = 1000\n[timing]\nlease = 2000"))) == {"lease"}


@pytest.mark.parametrize("text", [b"lease = ", b"\xff\xfe", b"a = 1\na = 2", b"[" * 4000])
def test_a_file_that_is_not_toml_is_refused(toml: Any, text: bytes) -> None:
    assert str(problems(config=toml(text))[None].source) == "flag --config"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.toml")
    assert problems(config=missing).keys() == {None}
    assert problems(config=tmp_path).keys() == {None}
    assert problems(config="nul\0byte").keys() == {None}
    found = problems(environ={"COORDINATOR_CONFIG": missing})
    assert str(found[None].source) == "env COORDINATOR_CONFIG"


# --- what is refused, and how it is said ---

BAD: list[tuple[str, object]] = [
    ("node", "a/b"),
    ("node", ".."),
    ("node", "é"),
    ("node", "n" * 129),
    ("node_type", " "),
    ("eligible", "perhaps"),
    ("eligible", 2),
    ("election", "."),
    ("election", ".."),
    ("election", "a b"),
    ("election", "../other"),
    ("election", "x\n"),
    ("lease", "fast"),
    ("lease", "0"),
    ("lock_delay", "500ms"),
    ("lock_delay", "2m"),
    ("session_ttl", "5s"),
    ("check_ttl", "0s"),
    ("takeover_delay", "-1s"),
    ("session_checks", "a,,b"),
    ("session_checks", 3),
    ("listen", "127.0.0.1"),
    ("listen", "::1:80"),
    ("listen", ":8610"),
    ("listen", "http://h:1"),
    ("listen", "h:65536"),
    ("listen", "h:x"),
    ("listen", "[x]:1"),
    ("listen", "h/x:1"),
    ("listen", 8610),
    ("advertise", "h:0"),
    ("advertise", "0.0.0.0:80"),
    ("poller_token", "two words"),
    ("poller_token", "é"),
    ("poller_token", 5),
    ("poller_token_file", "/nonexistent/token"),
    ("poller_token_file", "/dev/null"),
    ("priority", "1001"),
    ("consul_client_key", "0" * 300),
    ("priority", "-1"),
    ("poller_capacity", "0"),
    ("poller_capacity", "-1"),
    ("poller_capacity", "1.5"),
    ("poller_capacity", True),
    ("workloads", "a b,,"),
    ("poller_partition", "a b"),
    ("poller_domain", "../x"),
    ("poller_checks", "a,,b"),
    ("poller_forbidden_networks", "10.0.0.1/8"),
    ("event_handlers", "a b,,"),
    ("poll_sinks", "a b,,"),
    ("max_restarts", "many"),
    ("restart_window", "0"),
    ("health_interval", 0),
    ("min_nodes", "9" * 30),
    ("log_format", "xml"),
    ("log_level", "loud"),
    ("read_only", "perhaps"),
    ("theme", "x" * 65),
    ("consul_addr", "ftp://h"),
    ("consul_addr", "h:0"),
    ("consul_addr", "http://h/path"),
    ("consul_addr", "unix://relative"),
    ("consul_addr", "http://"),
    ("consul_addr", "xn--a:8500"),
    ("consul_addr", "http://XN--A"),
    ("consul_addr", "a..b:8500"),
    ("consul_addr", "x" * 64),
    ("listen", "a..b:1"),
    ("advertise", "xn--a:1"),
    ("consul_token", "a\nb"),
    ("consul_token_file", "/nonexistent/token"),
    ("consul_ssl", "tls"),
    ("consul_cacert", "/"),
    ("consul_client_key", "nul\0byte"),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_bad_value_names_its_field_and_flag(field: str, value: object) -> None:
    found = problems(**{field: value})
    assert set(found) == {field}
    assert str(found[field].source) == f"flag {flag_name(field)}"


@pytest.mark.parametrize(
    ("field", "value"), [(f, v) for f, v in BAD if isinstance(v, str) and v.strip()]
)
def test_a_bad_value_names_its_field_and_variable(field: str, value: str) -> None:
    environ = {"COORDINATOR_NODE": "core-1", env_name(field): value}
    with pytest.raises(SettingsError) as caught:
        Settings(environ=environ)
    (problem,) = caught.value.problems
    assert (problem.field, str(problem.source)) == (field, f"env {env_name(field)}")


def test_every_field_that_can_be_wrong_is_tested_wrong() -> None:
    durations = {*TIMING_FIELDS, "consul_ssl_verify", "consul_client_cert"}
    assert {field for field, _ in BAD} | durations == set(Settings.model_fields)


def test_a_bad_value_in_the_file_names_the_file(toml: Any) -> None:
    path = toml("[timing]\nlease = true")
    assert str(problems(config=path)["lease"].source) == f"file {path}"


def test_all_problems_are_told_at_once() -> None:
    found = problems(lease="x", log_level="y", environ={"COORDINATOR_MIN_NODES": "z"})
    assert set(found) == {"lease", "log_level", "min_nodes"}


def test_an_unknown_keyword_is_refused() -> None:
    assert "lease" in problems(leese=1)["leese"].fix


def test_a_host_name_that_is_no_node_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "two words")
    with pytest.raises(SettingsError) as caught:
        Settings(environ={})
    assert [problem.field for problem in caught.value.problems] == ["node"]


def test_unsafe_timing_quotes_the_numbers_and_where_they_came_from() -> None:
    found = problems(lease="5s", environ={"COORDINATOR_LOCK_DELAY": "3s"})["lease"]
    for part in ("5 s", "3 s", "6.105 s", "COORDINATOR_LOCK_DELAY", "--lease"):
        assert part in str(found)
    assert problems(confirm_interval="1500ms").keys() == {"confirm_interval"}


def test_a_lease_that_no_record_can_hold_is_refused() -> None:
    assert problems(lease="2h", takeover_delay="3h").keys() == {"lease"}


def test_listening_everywhere_needs_an_address_to_advertise() -> None:
    assert problems(listen="0.0.0.0:80").keys() == {"advertise"}
    assert problems(listen="[::]:80").keys() == {"advertise"}
    settings = load(listen="0.0.0.0:80", advertise="core-1.lan:80")
    assert str(settings.advertise) == "core-1.lan:80"


def test_client_certificate_and_key_go_together(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("")
    assert problems(consul_client_cert=pem).keys() == {"consul_client_key"}
    assert problems(consul_client_key=pem).keys() == {"consul_client_cert"}


# --- secrets ---


def test_secrets_are_masked_in_every_text(tmp_path: Path) -> None:
    settings = load(environ={"CONSUL_HTTP_TOKEN": TOKEN, "COORDINATOR_POLLER_TOKEN": TOKEN})
    texts = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())]
    texts += [repr(settings.consul_address), repr(settings.sources)]
    assert all(TOKEN not in text for text in texts)
    assert settings.consul_token is not None
    assert settings.consul_token.get_secret_value() == TOKEN
    assert settings.consul_address.token == TOKEN


def test_the_pollers_token_is_taken_from_its_file(tmp_path: Path, toml: Any) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    variable = "COORDINATOR_POLLER_TOKEN_FILE"
    for settings, source in (
        (load(environ={variable: str(file)}), f"env {variable}"),
        (load(environ={variable: str(file), "COORDINATOR_POLLER_TOKEN": "x"}), f"env {variable}"),
        (load(poller_token_file=file), "flag --poller-token-file"),
        (load(config=toml(f'[poller]\ntoken_file = "{file}"')), f"file {tmp_path}"),
    ):
        assert settings.poller_token is not None
        assert settings.poller_token.get_secret_value() == TOKEN
        assert str(settings.sources["poller_token"]).startswith(source)
        assert TOKEN not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize("held", [b"", b" \n", b"two words", b"two\nlines", b"\xff", "é".encode()])
def test_a_file_that_holds_no_token_is_refused_unseen(tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(held)
    found = problems(poller_token_file=file)
    assert found.keys() == {"poller_token_file"}
    assert str(file) in str(found["poller_token_file"])
    assert "lines" not in str(found["poller_token_file"])


def test_secrets_are_not_in_errors() -> None:
    with pytest.raises(SettingsError) as caught:
        load(consul_token=f"{TOKEN} x", poller_token=f"\t{TOKEN}\0", lease="x")
    error: BaseException | None = caught.value
    while error is not None:
        assert TOKEN not in str(error) + repr(error)
        error = error.__cause__ or error.__context__


def test_credentials_in_the_address_are_refused_unseen() -> None:
    found = problems(consul_addr=f"http://user:{TOKEN}@h:8500")
    assert TOKEN not in str(found["consul_addr"])


@pytest.mark.parametrize(
    "address",
    [
        "http://h:1?token={}",
        "h:1?token={}",
        "http://h:1/?token={}",
        "http://h:1/v1?token={}",
        "http://h:1#{}",
        "ftp://h:1?token={}",
        "unix://relative?token={}",
        "unix:///run/consul.sock?token={}",
        "http://user:{}@h:8500",
        "http:/user:{}@h:8500/",
        "http:///user:{}@h:8500",
        "ftp://user:{}@h:8500/p@h",
        ["http://h:1?token={}"],
    ],
)
@pytest.mark.parametrize("field", ["consul_addr", "listen"])
def test_no_error_quotes_what_may_be_a_secret_in_an_address(address: object, field: str) -> None:
    value = [each.format(TOKEN) for each in address] if isinstance(address, list) else address
    value = value.format(TOKEN) if isinstance(value, str) else value
    with pytest.raises(SettingsError) as caught:
        load(**{field: value})
    error: BaseException | None = caught.value
    while error is not None:
        assert TOKEN not in str(error) + repr(error)
        error = error.__cause__ or error.__context__


def test_an_encoded_name_of_a_host_is_taken() -> None:
    assert (
        load(consul_addr="xn--bcher-kva.example:1").consul_url == "http://xn--bcher-kva.example:1"
    )


def test_a_file_with_a_secret_that_everybody_may_read_is_told_of() -> None:
    # Not in what pytest gives: that is closed to others.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        token, toml = Path(directory) / "token", Path(directory) / "node.toml"
        token.write_text("some-token")
        toml.write_text(f'[consul]\ntoken_file = "{token}"\n')
        token.chmod(0o644)
        assert load(config=toml).exposed_files == (token,)
        token.chmod(0o640)
        assert load(config=toml).exposed_files == ()
        toml.write_text('poller_token = "some-token"\n')
        toml.chmod(0o644)
        assert load(config=toml).exposed_files == (toml,)
        toml.write_text("")
        token.chmod(0o644)
        assert load(config=toml, poller_token_file=token).exposed_files == (token,)
        token.chmod(0o640)
        toml.write_text('poller_token = "some-token"\n')
        Path(directory).chmod(0o750)
        assert load(config=toml).exposed_files == ()


def test_secrets_have_no_flag() -> None:
    assert SECRET_FIELDS <= NO_FLAG_FIELDS
    assert {n for n in Settings.model_fields if n.endswith("_token")} == SECRET_FIELDS


# --- consul ---


@pytest.mark.parametrize(
    ("addr", "ssl", "url"),
    [
        ("127.0.0.1:8500", False, "http://127.0.0.1:8500"),
        ("127.0.0.1:8501", True, "https://127.0.0.1:8501"),
        ("consul.example.net", False, "http://consul.example.net"),
        ("http://h:1", False, "http://h:1"),
        ("http://h:1/", True, "https://h:1"),
        ("https://h:1", False, "https://h:1"),
        ("[::1]:8500", False, "http://[::1]:8500"),
        ("https://[::1]", False, "https://[::1]"),
        ("unix:///run/consul.sock", True, "unix:///run/consul.sock"),
    ],
)
def test_consul_addr_as_its_own_tools_take_it(addr: str, ssl: bool, url: str) -> None:
    settings = load(consul_addr=addr, consul_ssl=ssl)
    assert settings.consul_url == settings.consul_address.url == url


def test_consul_address_names_the_token_file_to_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    address = load(environ={"CONSUL_HTTP_TOKEN_FILE": str(file)}).consul_address
    assert (address.token_file, address.token) == (file, None)


def test_a_certificate_that_is_none_is_refused_before_the_first_request(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_text("not a certificate")
    settings = load(consul_addr="https://h:8501", consul_cacert=pem)
    with pytest.raises(SettingsError):
        _ = settings.consul_address
    assert load(consul_addr="http://h:8500", consul_cacert=pem).consul_address.ca_cert == pem


def test_a_certificate_cannot_go_unverified() -> None:
    assert problems(consul_addr="https://h:1", consul_ssl_verify="no").keys() == {
        "consul_ssl_verify"
    }
    assert load(consul_addr="http://h:1", consul_ssl_verify="no").consul_url == "http://h:1"


# --- what is found and decides nothing ---


@pytest.mark.parametrize("prefix", ["", "COORDINATOR_", "SERVICERADAR_"])
@pytest.mark.parametrize("value", ["true", "false"])
def test_static_coordinator_in_the_environment_decides_nothing(prefix: str, value: str) -> None:
    name = f"{prefix}CLUSTER_COORDINATOR"
    settings = load(environ={name: value})
    (deprecation,) = settings.deprecated
    assert (deprecation.name, str(deprecation.where)) == (name, f"env {name}")
    assert "COORDINATOR_ELIGIBLE=false" in deprecation.advice
    assert settings.unknown_variables == ()
    assert settings.eligibility == load().eligibility


@pytest.mark.parametrize("text", ["cluster_coordinator = true", "[timing]\ncluster_coordinator=1"])
def test_static_coordinator_in_the_file_decides_nothing(toml: Any, text: str) -> None:
    path = toml(text)
    settings = load(config=path)
    (deprecation,) = settings.deprecated
    assert str(deprecation.where) == f"file {path}"
    assert settings.eligibility == load().eligibility


def test_nothing_is_deprecated_by_default() -> None:
    assert load().deprecated == ()
    assert load(environ={"CLUSTER_COORDINATOR": ""}).deprecated == ()


def test_a_slip_in_a_variable_is_noticed() -> None:
    environ = {"COORDINATOR_LEESE": "1s", "COORDINATOR_CONFIG": "", "HOME": "/"}
    (unknown,) = load(environ=environ).unknown_variables
    assert (unknown.name, unknown.nearest) == ("COORDINATOR_LEESE", "COORDINATOR_LEASE")


def test_nearest_is_none_where_nothing_is_near() -> None:
    assert nearest("qqq", {"lease"}) is None


# --- values ---


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("1500ms", 1.5),
        ("1m", 60.0),
        ("2h", 7200.0),
        ("0", 0.0),
        ("250", 0.25),
        (" 1.5 s ", 1.5),
        (250, 0.25),
        (0.1, 0.0001),
        (timedelta(seconds=2), 2.0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *["", "s", "5 parsecs", "1h30m", "1e3", "-5s", "٣s", "nan", "inf", "1.", ".5s", "5S"],
        *["9" * 40, "367000000s", True, None, [], float("nan"), float("inf"), -1, timedelta(-1)],
        pytest.param(10**400, id="400 digits"),
        pytest.param(10**9000, id="9000 digits"),
    ],
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(InvalidValueError):
        parse_duration(text)


@given(st.integers(0, 10**9))
def test_durations_are_exact_to_the_millisecond_and_round_trip(milliseconds: int) -> None:
    seconds = parse_duration(f"{milliseconds}ms")
    assert seconds == milliseconds / 1000
    assert parse_duration(str(milliseconds)) == parse_duration(milliseconds) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 10**6), st.sampled_from([("s", 1000), ("m", 60_000), ("h", 3_600_000)]))
def test_units_agree(number: int, unit: tuple[str, int]) -> None:
    name, factor = unit
    if number * factor > 366 * 86_400_000:
        with pytest.raises(InvalidValueError):
            parse_duration(f"{number}{name}")
    else:
        assert parse_duration(f"{number}{name}") == parse_duration(number * factor)


@given(st.floats(0, 1e6))
def test_any_duration_that_is_written_can_be_read(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


ANYTHING = st.one_of(
    st.text(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(),
    st.lists(st.text()),
)


@given(ANYTHING)
def test_whatever_is_written_is_read_or_refused(value: object) -> None:
    for parse in (
        parse_duration,
        parse_bool,
        parse_count,
        parse_name,
        parse_list,
        parse_host_port,
        parse_consul_addr,
    ):
        refused: list[InvalidValueError] = []
        try:
            parse(value)
        except InvalidValueError as error:
            refused.append(error)
        assert all(error.fix and len(str(error).splitlines()) == 1 for error in refused)


@given(st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), st.text(), max_size=3))
def test_any_environment_gives_settings_or_a_settings_error(values: dict[str, str]) -> None:
    environ = {"COORDINATOR_NODE": "core-1"}
    environ |= {env_name(name): value for name, value in values.items()}
    refused: set[str | None] = set()
    try:
        assert Settings(environ=environ).consul_address
    except SettingsError as error:
        refused = {problem.field for problem in error.problems}
    related = {"consul_client_cert", "consul_client_key", "advertise", *TIMING_FIELDS}
    assert refused <= {*values, *related}


@given(st.text(alphabet="abc-._0", min_size=1, max_size=20), st.integers(0, 65535))
def test_host_and_port_round_trip(host: str, port: int) -> None:
    labels = host.removesuffix(".").split(".")
    if "" in labels:
        with pytest.raises(InvalidValueError):
            parse_host_port(f"{host}:{port}")
    else:
        assert parse_host_port(f"{host}:{port}") == HostPort(host, port)


@given(st.ip_addresses(v=6), st.integers(0, 65535))
def test_ipv6_needs_brackets(address: Any, port: int) -> None:
    parsed = parse_host_port(f"[{address}]:{port}")
    assert parse_host_port(str(parsed)) == parsed
    with pytest.raises(InvalidValueError):
        parse_host_port(f"{address}:{port}")


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        *[("127.0.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), ("10.0.0.1:1", False)],
        *[("0.0.0.0:1", False), ("[::]:1", False), ("core-1:1", False)],
    ],
)
def test_loopback(text: str, loopback: bool) -> None:
    assert parse_host_port(text).is_loopback is loopback


@pytest.mark.parametrize(("text", "value"), [("T", True), ("on", True), ("0", False), (0, False)])
def test_yes_and_no(text: object, value: bool) -> None:
    assert parse_bool(text) is value


def test_lists() -> None:
    assert parse_list(" a, b,a ") == ("a", "b")
    assert parse_list("none") == parse_list("") == parse_list([]) == ()


def test_an_unknown_key_hides_nothing_else_and_a_variable_s_name_is_understood(
    tmp_path: Path,
) -> None:
    path = tmp_path / "node.toml"
    path.write_text('COORDINATOR_LEASE = "2s"\nlisten = 5\n')
    with pytest.raises(SettingsError) as caught:
        Settings(config=path, environ={})
    problems = {problem.field: problem for problem in caught.value.problems}
    assert set(problems) == {"COORDINATOR_LEASE", "listen"}
    assert "lease" in problems["COORDINATOR_LEASE"].fix.split("mean ")[1]
