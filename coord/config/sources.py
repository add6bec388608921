"""Where settings come from: a TOML file, the environment, flags; and which said what.

Reads and names values; what a value means is `config`'s and `settings_values`' affair.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG_ENV = "COORDINATOR_CONFIG"
CONFIG_FLAG = "--config"

_ENV_PREFIX = "COORDINATOR_"
_CONSUL_ENV = {
    "consul_addr": "CONSUL_HTTP_ADDR",
    "consul_token": "CONSUL_HTTP_TOKEN",
    "consul_token_file": "CONSUL_HTTP_TOKEN_FILE",
    "consul_ssl": "CONSUL_HTTP_SSL",
    "consul_ssl_verify": "CONSUL_HTTP_SSL_VERIFY",
    "consul_cacert": "CONSUL_CACERT",
    "consul_client_cert": "CONSUL_CLIENT_CERT",
    "consul_client_key": "CONSUL_CLIENT_KEY",
}
"""Consul is reached as Consul's own tools are told to, so these names are theirs."""

_TIMING_TABLE = "timing"
_PREFIX_TABLES = ("consul", "poller", "log", "health")
"""In `[consul]`, `addr` means `consul_addr`; in `[timing]`, a duration keeps its name."""

_STATIC_FLAG = "cluster_coordinator"
_STATIC_FLAG_ENV = tuple(
    f"{prefix}CLUSTER_COORDINATOR" for prefix in ("", _ENV_PREFIX, "SERVICERADAR_")
)
_STATIC_FLAG_ADVICE = (
    "it has no effect: the leader is elected; remove it, "
    "and set COORDINATOR_ELIGIBLE=false on a node that must not lead"
)


class SourceKind(enum.StrEnum):
    """The layers that a value can come from, weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENV = "env"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from; `name` is the path, the variable or the flag (None: default)."""

    kind: SourceKind
    name: str | None = None

    def __str__(self) -> str:
        return self.kind.value if self.name is None else f"{self.kind.value} {self.name}"


DEFAULT_SOURCE = Source(SourceKind.DEFAULT)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the settings.

    field: the setting, or the unknown key; None where the file as a whole cannot be read.
    source: where the value came from.
    problem, fix: what is wrong, and what to do; for people.
    """

    field: str | None
    source: Source | None
    problem: str
    fix: str

    def __str__(self) -> str:
        name = f"{self.field}: " if self.field else ""
        where = f" (from {self.source})" if self.source else ""
        text = f"{name}{self.problem}{where}; {self.fix}"
        # Keys and paths may hold anything: one line, and nothing that a terminal obeys.
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class SettingsError(ValueError):
    """The settings cannot be used; `problems` says all that is wrong, each with its fix."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Deprecation:
    """A setting that was found and has no effect any more: its name, where, and what to do."""

    name: str
    where: Source
    advice: str

    def __str__(self) -> str:
        return f"{self.name} (from {self.where}): {self.advice}"


@dataclass(frozen=True, slots=True)
class UnknownVariable:
    """An environment variable that looks like a setting and is none: probably a slip."""

    name: str
    nearest: str | None


@dataclass(frozen=True, slots=True)
class Layer:
    """The values that one layer gives, and where each came from."""

    values: Mapping[str, Any]
    sources: Mapping[str, Source]


@dataclass(frozen=True, slots=True)
class Layers:
    """Every layer over the defaults, and what was found beside them."""

    file: Layer
    environment: Layer
    flags: Layer
    config_path: Path | None
    deprecated: tuple[Deprecation, ...]
    unknown_variables: tuple[UnknownVariable, ...]
    problems: tuple[Problem, ...]
    """What is wrong with the file's keys; its values are looked at all the same."""

    def source(self, field: str) -> Source:
        """Where the value of a field came from."""
        for layer in (self.flags, self.environment, self.file):
            if field in layer.sources:
                return layer.sources[field]
        return DEFAULT_SOURCE


def env_name(field: str) -> str:
    """The environment variable of a field."""
    return _CONSUL_ENV.get(field) or f"{_ENV_PREFIX}{field.upper()}"


def flag_name(field: str) -> str:
    """The command-line flag of a field."""
    return f"--{field.replace('_', '-')}"


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that is most like this one, if any is like it."""
    matches = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def read_layers(
    fields: Collection[str],
    timing_fields: Collection[str],
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    config: str | Path | None,
) -> Layers:
    """Read every layer. `config` is the file named by a flag, before the one in `environ`.

    Flags that are None were not given; a variable that is empty counts as not set, because that
    is what compose files and unit files make of one that nobody set.

    Raises:
        SettingsError: the file cannot be read, or the flags hold a name that is no setting.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    path, path_source = _config_path(config, environ)
    file, in_file, problems = (
        _FileReader(fields, timing_fields, path, path_source).read()
        if path is not None
        else (Layer({}, {}), (), ())
    )
    _refuse_unknown_flags(given, fields)
    in_environment = tuple(
        Deprecation(name, Source(SourceKind.ENV, name), _STATIC_FLAG_ADVICE)
        for name in _STATIC_FLAG_ENV
        if environ.get(name)
    )
    return Layers(
        file=file,
        environment=_environment_layer(fields, environ),
        flags=Layer(given, {name: Source(SourceKind.FLAG, flag_name(name)) for name in given}),
        config_path=path,
        deprecated=in_file + in_environment,
        unknown_variables=_unknown_variables(fields, environ),
        problems=problems,
    )


def _config_path(
    config: str | Path | None, environ: Mapping[str, str]
) -> tuple[Path | None, Source]:
    if config is not None:
        return Path(config), Source(SourceKind.FLAG, CONFIG_FLAG)
    named = environ.get(CONFIG_ENV)
    return (Path(named) if named else None), Source(SourceKind.ENV, CONFIG_ENV)


def _environment_layer(fields: Collection[str], environ: Mapping[str, str]) -> Layer:
    names = {field: env_name(field) for field in fields}
    found = {field: name for field, name in names.items() if environ.get(name, "").strip()}
    return Layer(
        {field: environ[name] for field, name in found.items()},
        {field: Source(SourceKind.ENV, name) for field, name in found.items()},
    )


def _unknown_variables(
    fields: Collection[str], environ: Mapping[str, str]
) -> tuple[UnknownVariable, ...]:
    known = {env_name(field) for field in fields} | {CONFIG_ENV}
    passed = known.union(_STATIC_FLAG_ENV)
    return tuple(
        UnknownVariable(name, nearest(name, known))
        for name in sorted(environ)
        if name.startswith(_ENV_PREFIX) and name not in passed
    )


def _refuse_unknown_flags(given: Mapping[str, Any], fields: Collection[str]) -> None:
    problems = tuple(
        Problem(name, Source(SourceKind.FLAG, flag_name(name)), *_unknown(name, fields))
        for name in given
        if name not in fields
    )
    if problems:
        raise SettingsError(problems)


def _unknown(name: str, known: Collection[str]) -> tuple[str, str]:
    as_field = {env_name(field): field for field in known}
    like = as_field.get(name) or nearest(name, known)
    return "there is no such setting", (f"did you mean {like}?" if like else "remove it")


def read_toml(path: Path, named_by: Source) -> dict[str, Any]:
    """What stands in a TOML file. named_by: what named it.

    Raises:
        SettingsError: it cannot be read.
    """
    import tomllib  # Here: it takes long to load, and most have no file.

    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        problem, fix = f"cannot read {path}: {error.strerror}", "name a file to read"
    except UnicodeDecodeError:
        problem, fix = f"{path} is not UTF-8 text", "save it as UTF-8"
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem, fix = f"{path} is not TOML: {error}", "correct it there"
    except ValueError as error:
        problem, fix = f"cannot read {path}: {error}", "name a file to read"
    raise SettingsError((Problem(None, named_by, problem, fix),))


class _FileReader:
    """Reads one TOML file: keys are field names, also in tables (see `_PREFIX_TABLES`)."""

    def __init__(
        self,
        fields: Collection[str],
        timing_fields: Collection[str],
        path: Path,
        path_source: Source,
    ) -> None:
        self._fields = fields
        self._timing_fields = timing_fields
        self._path = path
        self._path_source = path_source
        self._source = Source(SourceKind.FILE, str(path))
        self._problems: list[Problem] = []

    def read(self) -> tuple[Layer, tuple[Deprecation, ...], tuple[Problem, ...]]:
        """The file's values, and the static flags found in it."""
        values: dict[str, Any] = {}
        deprecated: list[Deprecation] = []
        for key, field, value in self._entries(read_toml(self._path, self._path_source)):
            if key.rpartition(".")[2].lower() == _STATIC_FLAG:
                deprecated.append(Deprecation(key, self._source, _STATIC_FLAG_ADVICE))
            elif field is None:
                problem, fix = _unknown(key, self._known_keys())
                self._problems.append(Problem(key, self._source, problem, fix))
            elif field in values:
                self._problems.append(
                    Problem(field, self._source, f"set twice, once as {key}", "keep one of them")
                )
            else:
                values[field] = value
        layer = Layer(values, dict.fromkeys(values, self._source))
        return layer, tuple(deprecated), tuple(self._problems)

    def _entries(self, document: Mapping[str, Any]) -> Iterator[tuple[str, str | None, Any]]:
        """Each key as written, the field it means (None: none), and its value."""
        for key, value in document.items():
            if isinstance(value, dict) and (key == _TIMING_TABLE or key in _PREFIX_TABLES):
                for inner, inner_value in value.items():
                    yield f"{key}.{inner}", self._field_in_table(key, inner), inner_value
            else:
                yield key, (key if key in self._fields else None), value

    def _field_in_table(self, table: str, key: str) -> str | None:
        if table == _TIMING_TABLE:
            return key if key in self._timing_fields else None
        field = key if key.startswith(f"{table}_") else f"{table}_{key}"
        return field if field in self._fields else None

    def _known_keys(self) -> set[str]:
        tables = {f"{_TIMING_TABLE}.{field}" for field in self._timing_fields}
        for table in _PREFIX_TABLES:
            prefix = f"{table}_"
            tables |= {
                f"{table}.{field.removeprefix(prefix)}"
                for field in self._fields
                if field.startswith(prefix)
            }
        return tables | set(self._fields)
