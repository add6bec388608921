"""Settings: defaults < TOML file < environment < flags, and what is refused.

Everything that is wrong is said at once, each with the field, where the value came from and what
to write instead; timing that could let two nodes work at once is refused with its numbers.
Durations are written `5s`, `1500ms`, `1m`; a bare number is milliseconds. Inside they are seconds.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from coord.config.fields import (
    FORBIDDEN_NETWORKS,
    TIMING_FIELDS,
    Address,
    AdvertisedAddress,
    Bool,
    ConsulAddr,
    Count,
    Duration,
    LogFormatWord,
    LogLevelWord,
    Name,
    Names,
    Networks,
    NodeTypeText,
    PositiveCount,
    PositiveDuration,
    Priority,
    ReadableFile,
    Secret,
    token_in,
)
from coord.config.problems import FieldError, problem_of, set_source
from coord.config.sources import (
    Deprecation,
    Layer,
    Layers,
    Problem,
    SettingsError,
    Source,
    SourceKind,
    UnknownVariable,
    read_layers,
)
from coord.config.values import HostPort, InvalidValueError, consul_url, format_duration
from coord.election.timing import Timing
from coord.node_type import Eligibility, NodeTypeFound, find_eligibility, find_node_type
from coord.records import DEFAULT_PRIORITY, MAX_DELAY_MS

if TYPE_CHECKING:
    from coord.consul.address import ConsulAddress


SECRET_FIELDS = frozenset({"consul_token", "poller_token"})
"""Settings whose values are shown nowhere."""

NO_FLAG_FIELDS = SECRET_FIELDS | {"read_only", "theme"}
"""Settings without a flag of their own: every user of a machine can read the arguments of its
processes; and `--read-only` and `--theme` are the console's alone."""


def _this_host() -> str:
    return socket.gethostname()


def _everybody_may_read(path: Path) -> bool:
    """Whether the file, and each directory on the way to it, is open to all."""
    try:
        where = path.resolve(strict=True)
        return bool(where.stat().st_mode & stat.S_IROTH) and all(
            each.stat().st_mode & stat.S_IXOTH for each in where.parents
        )
    except OSError:
        return False


_LAYERS: ContextVar[Layers] = ContextVar("_LAYERS")
"""The layers that the `Settings` being constructed is made of."""


class _LayerSource(PydanticBaseSettingsSource):
    """One layer, already read, as pydantic-settings takes it."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._layer.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._layer.values)


class Settings(BaseSettings):
    """The settings of one node. Immutable, and valid once constructed.

    `Settings(lease="2s", config=path, environ={})`: keyword arguments are the flags (None: not
    given), `environ` stands in for the process's environment, `config` for `--config`.

    Raises:
        SettingsError: with every problem found.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=False,
        arbitrary_types_allowed=True,
    )

    node: Name = Field(
        default_factory=_this_host,
        validate_default=True,
        description="Name of this node; else this host's.",
    )
    node_type: NodeTypeText | None = Field(
        None, description="core, web or poller; else the prefix of the node's name says it."
    )
    eligible: Bool | None = Field(
        None, description="Whether this node may lead; else its type says it."
    )
    election: Name = Field("coordinator", description="Name of the election.")
    priority: Priority = Field(
        DEFAULT_PRIORITY,
        description="Of several candidates, the one with the highest follows, from 0 to 1000.",
    )

    election_interval: Duration = Field(5.0, description="Look at the leader key this often.")
    takeover_delay: Duration = Field(
        1.0, description="Extra wait before taking over from a leader that vanished."
    )
    check_ttl: Duration = Field(2.0, description="TTL of the candidate's own check.")
    confirm_interval: Duration = Field(0.5, description="How often a leader confirms the lock.")
    lease: Duration = Field(2.0, description="Not confirmed for this long: work stops.")
    fence_grace: Duration = Field(
        0.5, description="Work that has not stopped by then ends with the process."
    )
    lock_delay: Duration = Field(2.0, description="Lock-delay of the session.")
    session_ttl: Duration = Field(15.0, description="TTL of the session, a backstop.")
    suspend_limit: Duration = Field(60.0, description="Suspended longer: give up leading.")
    shutdown_timeout: Duration = Field(30.0, description="How long a voluntary stop may take.")
    session_checks: Names = Field(
        (), description="Further checks of the node that the session is tied to, with commas."
    )

    listen: Address = Field(
        HostPort("127.0.0.1", 8610), description="Where this node listens; port 0 takes any."
    )
    advertise: AdvertisedAddress | None = Field(
        None, description="Where others reach this node; else where it listens."
    )
    poller_token: Secret | None = Field(
        None, description="What pollers demand of the leader; better a file with it."
    )
    poller_token_file: ReadableFile | None = Field(
        None, description="File with what pollers demand; it wins, and is read at the start."
    )
    poller_capacity: PositiveCount = Field(8, description="Polls that a poller runs at a time.")
    poller_partition: Name | None = Field(
        None, description="The partition of the network that a poller is in."
    )
    poller_domain: Name | None = Field(
        None, description="The failure domain that a poller is in, such as a site."
    )
    poller_checks: Names = Field(
        (), description="Kinds of check that a poller has besides http and tcp, with commas."
    )
    poller_forbidden_networks: Networks = Field(
        FORBIDDEN_NETWORKS,
        description="Networks that a poller connects to on no account, with commas, or none.",
    )
    workloads: Names = Field(
        ("cluster-health", "poll-orchestrator"),
        description="The coordination work, with commas, or none.",
    )
    poll_sinks: Names = Field(
        ("prometheus",),
        description="Where the results of polls go besides Consul, with commas, or none.",
    )
    event_handlers: Names = Field(
        (), description="Handlers of telemetry events, with commas, or none."
    )
    max_restarts: Count = Field(
        3, description="More restarts of work than this in restart_window: step down."
    )
    restart_window: PositiveDuration = Field(
        5.0, description="The window that max_restarts counts in."
    )
    health_interval: PositiveDuration = Field(
        30.0, description="How often cluster health is published."
    )
    min_nodes: Count = Field(1, description="Fewer nodes than this: the cluster is degraded.")
    log_format: LogFormatWord = Field(
        "auto", description="json, console, or auto: console on a terminal."
    )
    log_level: LogLevelWord = Field("info", description="debug, info, warning or error.")
    read_only: Bool = Field(False, description="The console only looks, and offers no action.")
    theme: str = Field(
        "", max_length=64, description="The console's theme; coord unless it is set."
    )

    consul_addr: ConsulAddr = Field(
        "127.0.0.1:8500", description="Consul: host:port, http://, https:// or unix:///path."
    )
    consul_token: Secret | None = Field(None, description="Consul token; better a token file.")
    consul_token_file: ReadableFile | None = Field(
        None, description="File with the Consul token; it wins over a token and may rotate."
    )
    consul_ssl: Bool = Field(False, description="Use https where the address names no scheme.")
    consul_ssl_verify: Bool = Field(True, description="Verify Consul's certificate.")
    consul_cacert: ReadableFile | None = Field(None, description="CA certificate for Consul.")
    consul_client_cert: ReadableFile | None = Field(None, description="Client certificate.")
    consul_client_key: ReadableFile | None = Field(None, description="Key of the certificate.")

    _layers: Layers = PrivateAttr()
    _timing: Timing = PrivateAttr()

    def __init__(
        self,
        *,
        config: str | Path | None = None,
        environ: Mapping[str, str] | None = None,
        **flags: Any,
    ) -> None:
        fields = type(self).model_fields
        layers = read_layers(
            fields, TIMING_FIELDS, flags, os.environ if environ is None else environ, config
        )
        token = _LAYERS.set(layers)
        try:
            super().__init__()
        except ValidationError as error:
            problems = tuple(problem_of(item, layers) for item in error.errors(include_url=False))
        else:
            problems = ()
        finally:
            _LAYERS.reset(token)
        problems = layers.problems + problems
        # Raised out here, so that no traceback leads back to pydantic's error and its input.
        if problems:
            raise SettingsError(problems)
        self._layers = layers

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Our own layers, strongest first, in place of pydantic-settings' own."""
        layers = _LAYERS.get()
        return tuple(
            _LayerSource(settings_cls, layer)
            for layer in (layers.flags, layers.environment, layers.file)
        )

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        self._timing = Timing(**{name: getattr(self, name) for name in TIMING_FIELDS})
        if self._timing.fenced_within * 1_000 > MAX_DELAY_MS:
            raise FieldError(
                "lease",
                f"lease + fence_grace is {format_duration(self._timing.fenced_within)}, more than "
                f"{format_duration(MAX_DELAY_MS / 1_000)}, the most that a leader's record holds",
                "shorten them",
            )
        if self.poller_token_file is not None:
            try:
                token = token_in(self.poller_token_file)
            except InvalidValueError as error:
                raise FieldError("poller_token_file", error.problem, error.fix) from None
            object.__setattr__(self, "poller_token", token)  # the only way: it is frozen
        if self.advertise is None and self.listen.is_any:
            raise FieldError(
                "advertise", f"nobody can reach {self.listen}", "set where others reach this node"
            )
        if (self.consul_client_cert is None) != (self.consul_client_key is None):
            missing = "cert" if self.consul_client_cert is None else "key"
            raise FieldError(
                f"consul_client_{missing}",
                "a client certificate and its key go together, and this one is missing",
                "set both or neither",
            )
        if not self.consul_ssl_verify and self.consul_url.startswith("https:"):
            raise FieldError(
                "consul_ssl_verify",
                "Consul's certificate is always verified",
                "name its CA in CONSUL_CACERT and leave this out",
            )
        return self

    @property
    def timing(self) -> Timing:
        """The election's durations."""
        return self._timing

    @property
    def consul_url(self) -> str:
        """Consul's URL: http, https or unix."""
        return consul_url(self.consul_addr, ssl=self.consul_ssl)

    @property
    def consul_address(self) -> ConsulAddress:
        """How to reach Consul, for `ConsulClient`; the token file is read by the client, anew
        whenever it changes.

        Raises:
            SettingsError: a certificate or key for https cannot be used.
        """
        # Here, because it pulls in the HTTP client, which most readers of settings do not need.
        from coord.consul.address import ConsulAddress

        token = self.consul_token
        try:
            address = ConsulAddress(
                url=self.consul_url,
                token=token.get_secret_value() if token else None,
                token_file=self.consul_token_file,
                ca_cert=self.consul_cacert,
                client_cert=self.consul_client_cert,
                client_key=self.consul_client_key,
            )
            # Nobody should learn at the first request that a certificate cannot be used.
            address.ssl_context()
        except ValueError as error:
            source = set_source("consul_addr", self._layers)
            problem = Problem("consul_addr", source, " ".join(str(error).split()), "correct it")
            raise SettingsError((problem,)) from None
        return address

    @property
    def sources(self) -> Mapping[str, Source]:
        """Where the value of each field came from."""
        found = {field: self._layers.source(field) for field in type(self).model_fields}
        if self.poller_token_file is not None:
            found["poller_token"] = found["poller_token_file"]
        return MappingProxyType(found)

    @property
    def config_path(self) -> Path | None:
        """The TOML file that was read, if one was."""
        return self._layers.config_path

    @property
    def deprecated(self) -> tuple[Deprecation, ...]:
        """Settings of old that were found and decide nothing: to be warned about, once."""
        return self._layers.deprecated

    @property
    def unknown_variables(self) -> tuple[UnknownVariable, ...]:
        """Environment variables that look like settings and are none."""
        return self._layers.unknown_variables

    @property
    def exposed_files(self) -> tuple[Path, ...]:
        """Files with a token or a key in them that every user of this machine may read."""
        files = [self.consul_token_file, self.consul_client_key, self.poller_token_file]
        if any(self._layers.source(name).kind is SourceKind.FILE for name in SECRET_FIELDS):
            files.append(self.config_path)
        return tuple(path for path in files if path is not None and _everybody_may_read(path))

    @property
    def found_node_type(self) -> NodeTypeFound:
        """The kind of this node, and what said so."""
        return find_node_type(self.node_type, self.node)

    @property
    def eligibility(self) -> Eligibility:
        """Whether this node may lead, and why."""
        return find_eligibility(self.found_node_type.node_type, self.eligible)
