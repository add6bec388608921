"""Certificates, rights and tokens for the agents beside this file. Standard library only.

The certificates are made by the Consul binary itself, in a directory, once; so are the tokens,
by the agent's API, from the policies in ``acl/``. Nothing here is fit for anything but this
machine: whoever can read the directory can do everything.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

POLICIES = Path(__file__).resolve().with_name("acl")
ROLES = ("candidate", "poller", "operator", "viewer")
MANAGEMENT = "management"


class SecureError(Exception):
    """No certificate or token could be made; the message says why."""


def version_of(text: str) -> tuple[int, int]:
    """Return major and minor of a version as Consul names it: ``1.8.7``, ``1.22.1+ent``."""
    major, minor = text.split("+")[0].split(".")[:2]
    return int(major), int(minor)


# --- TLS -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What an agent serves its HTTP API with; all paths are PEM files.

    ``mutual``: the agent answers only who shows a certificate of the same authority, as
    ``client_cert`` is.
    """

    ca: Path
    cert: Path
    key: Path
    client_cert: Path
    client_key: Path
    mutual: bool = False

    def settings(self, version: str) -> dict[str, Any]:
        """Return the agent's settings, in its version's words; the ports are not among them."""
        files = {
            "ca_file": str(self.ca),
            "cert_file": str(self.cert),
            "key_file": str(self.key),
        }
        if version_of(version) >= (1, 12):
            return {"tls": {"https": {**files, "verify_incoming": self.mutual}}}
        return {**files, "verify_incoming_https": self.mutual}

    def environment(self) -> dict[str, str]:
        """Return what a client of the agent needs in its environment, besides the address."""
        env = {"CONSUL_CACERT": str(self.ca)}
        if self.mutual:
            env |= {
                "CONSUL_CLIENT_CERT": str(self.client_cert),
                "CONSUL_CLIENT_KEY": str(self.client_key),
            }
        return env

    def context(self) -> ssl.SSLContext:
        """Return what a client of the agent verifies with, and shows."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.mutual:
            context.load_cert_chain(self.client_cert, self.client_key)
        return context


def make_tls(
    binary: Path, directory: Path, *, addresses: Iterable[str] = (), mutual: bool = False
) -> Tls:
    """Make an authority and certificates in ``directory``, unless they are there.

    ``addresses``: those besides 127.0.0.1 that agents with this certificate are reached at.
    Raises SecureError with what the Consul binary said.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (directory / "consul-agent-ca.pem").exists():
        _tls(binary, directory, "ca", "create")
    if not (directory / "dc1-server-consul-0.pem").exists():
        where = [f"-additional-ipaddress={each}" for each in addresses]
        _tls(binary, directory, "cert", "create", "-server", *where)
    if not (directory / "dc1-cli-consul-0.pem").exists():
        _tls(binary, directory, "cert", "create", "-cli")
    return Tls(
        ca=directory / "consul-agent-ca.pem",
        cert=directory / "dc1-server-consul-0.pem",
        key=directory / "dc1-server-consul-0-key.pem",
        client_cert=directory / "dc1-cli-consul-0.pem",
        client_key=directory / "dc1-cli-consul-0-key.pem",
        mutual=mutual,
    )


def _tls(binary: Path, directory: Path, *words: str) -> None:
    done = subprocess.run(
        [str(binary), "tls", *words], cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SecureError(f"consul tls {' '.join(words)}: {done.stderr or done.stdout}")


# --- rights --------------------------------------------------------------------------------------


def acl_settings(token: str, version: str) -> dict[str, Any]:
    """Return what turns ACLs on, everything denied but for ``token``, in the version's words."""
    first = "initial_management" if version_of(version) >= (1, 11) else "master"
    return {
        "acl": {
            "enabled": True,
            "default_policy": "deny",
            "tokens": {first: token, "agent": token},
        }
    }


class Agent(Protocol):
    """What tokens are made with: an agent that may do everything."""

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Make one request of the HTTP API and return its status and body."""

    def wait_until(self, condition: Any, what: str) -> None:
        """Ask ``condition()`` until it is true."""


def make_policy(agent: Agent, name: str, rules: str) -> None:
    """Make the policy, or let the one of that name have these rules.

    Raises SecureError when Consul does not take it.
    """
    status, body = agent.request("GET", f"/v1/acl/policy/name/{name}")
    known: dict[str, Any] = json.loads(body) if status == 200 else {}
    path = f"/v1/acl/policy/{known['ID']}" if known else "/v1/acl/policy"
    _put(agent, path, {**({"ID": known["ID"]} if known else {}), "Name": name, "Rules": rules})


def make_token(agent: Agent, description: str, *policies: str) -> tuple[str, str]:
    """Make a token that has these policies, by their names; return its accessor and its secret.

    Raises SecureError when Consul does not make it.
    """
    named = [{"Name": name} for name in policies]
    made = _put(agent, "/v1/acl/token", {"Description": description, "Policies": named})
    return str(made["AccessorID"]), str(made["SecretID"])


def delete_token(agent: Agent, accessor: str) -> None:
    """Let it be a token no longer. Raises SecureError when Consul does not do it."""
    status, body = agent.request("DELETE", f"/v1/acl/token/{accessor}")
    if status != 200:
        raise SecureError(f"DELETE /v1/acl/token: {status} {body[:200].decode(errors='replace')}")


def make_tokens(
    agent: Agent, directory: Path, policies: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Make a token for each role, in files under ``directory`` that only this user may read.

    ``policies``: rules by role; else the files in ``acl/``, those of the default settings.
    Tokens that the files hold already are kept if Consul still knows them. Returns the files.
    """
    rules = policies or {role: (POLICIES / f"{role}.hcl").read_text() for role in ROLES}
    agent.wait_until(lambda: agent.request("GET", "/v1/acl/policies")[0] == 200, "have its ACLs")
    files = {role: directory / role for role in rules}
    known = {each["Description"]: each for each in json.loads(agent.request("GET", _TOKENS)[1])}
    for role, text in rules.items():
        make_policy(agent, f"coord-{role}", text)
        if f"coord {role}" not in known or not files[role].exists():
            write_secret(files[role], make_token(agent, f"coord {role}", f"coord-{role}")[1])
    return files


_TOKENS = "/v1/acl/tokens"


def _put(agent: Agent, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    status, answer = agent.request("PUT", path, json.dumps(body).encode())
    if status != 200:
        raise SecureError(f"PUT {path}: {status} {answer[:200].decode(errors='replace')}")
    reply: dict[str, Any] = json.loads(answer)
    return reply


# --- files ---------------------------------------------------------------------------------------


def write_secret(path: Path, text: str) -> None:
    """Write a file that only this user may read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{text}\n")
    draft.replace(path)


def kept_management_token(directory: Path) -> str:
    """Return the token of ``directory`` that may do everything, made up when first asked for."""
    path = directory / MANAGEMENT
    if not path.exists():
        write_secret(path, str(uuid.uuid4()))
    return path.read_text().strip()


def connection(address: str, tls: Tls | None, timeout_s: float) -> http.client.HTTPConnection:
    """Return a connection to the HTTP API at ``host:port``, not opened yet."""
    if tls is None:
        return http.client.HTTPConnection(address, timeout=timeout_s)
    return http.client.HTTPSConnection(address, timeout=timeout_s, context=tls.context())
