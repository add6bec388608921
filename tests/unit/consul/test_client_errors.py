"""What the client makes of answers that are refusals, lies or rubbish."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord.consul import (
    ConsulAddress,
    ConsulClient,
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
    Denied,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
)
from coord.consul.transport import RequestKind

TOKEN = "s3cret-s3cret-s3cret"
GET_A = [TxnOp.kv_get("a")]
SET_A = [TxnOp.kv_set("a", b"")]


def client(
    status: int = 200,
    body: bytes | str = b"",
    *,
    headers: dict[str, str] | None = None,
    error: Exception | None = None,
    address: ConsulAddress | None = None,
    sent: list[httpx.Request] | None = None,
) -> ConsulClient:
    """A client whose every request gets this answer."""

    def answer(request: httpx.Request) -> httpx.Response:
        if sent is not None:
            sent.append(request)
        if error is not None:
            raise error
        return httpx.Response(status, content=body, headers=headers)

    return ConsulClient(address or ConsulAddress(token=TOKEN), http=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("token", "body", "denied"),
    [
        (TOKEN, "ACL not found", Denied.UNKNOWN_TOKEN),
        (TOKEN, "Permission denied", Denied.LACKS_RIGHTS),
        (
            TOKEN,
            "Permission denied: token with AccessorID '0' lacks permission 'key:read' on \"a\"",
            Denied.LACKS_RIGHTS,
        ),
        (None, "Permission denied", Denied.NO_TOKEN),
        ("", "Permission denied", Denied.NO_TOKEN),
    ],
)
async def test_what_is_wrong_with_the_token_is_told_apart(
    token: str | None, body: str, denied: Denied
) -> None:
    async with client(403, body, address=ConsulAddress(token=token)) as consul:
        for call in (consul.kv_get("a"), consul.txn(GET_A), consul.agent_self()):
            with pytest.raises(ConsulNotPermitted) as caught:
                await call
            assert caught.value.denied is denied


Call = Callable[[ConsulClient], Awaitable[object]]

READS: dict[str, Call] = {
    "kv_get": lambda c: c.kv_get("a"),
    "kv_list": lambda c: c.kv_list("a"),
    "kv_keys": lambda c: c.kv_keys("a"),
    "txn of gets": lambda c: c.txn(GET_A),
    "session_info": lambda c: c.session_info("a"),
    "session_list": lambda c: c.session_list(),
    "session_node": lambda c: c.session_node("a"),
    "agent_self": lambda c: c.agent_self(),
    "agent_services": lambda c: c.agent_services(),
    "agent_checks": lambda c: c.agent_checks(),
    "health_service": lambda c: c.health_service("a"),
    "health_node": lambda c: c.health_node("a"),
    "health_state": lambda c: c.health_state(),
    "catalog_nodes": lambda c: c.catalog_nodes(),
    "catalog_services": lambda c: c.catalog_services(),
    "status_leader": lambda c: c.status_leader(),
    "status_peers": lambda c: c.status_peers(),
}
WRITES: dict[str, Call] = {
    "kv_put": lambda c: c.kv_put("a", b""),
    "kv_delete": lambda c: c.kv_delete("a"),
    "txn": lambda c: c.txn(SET_A),
    "session_create": lambda c: c.session_create(name="a", checks=["b"], lock_delay_s=1),
    "session_destroy": lambda c: c.session_destroy("a"),
    "session_renew": lambda c: c.session_renew("a"),
    "service_writable": lambda c: c.service_writable("a", "a"),
}
# Their answers have no content to be read.
SILENT_WRITES: dict[str, Call] = {
    "service_register": lambda c: c.service_register(ServiceRegistration("a", "a")),
    "service_deregister": lambda c: c.service_deregister("a"),
    "check_register": lambda c: c.check_register(TtlCheck("a", "a", 1.0)),
    "check_deregister": lambda c: c.check_deregister("a"),
    "check_pass": lambda c: c.check_pass("a"),
    "check_fail": lambda c: c.check_fail("a"),
    "catalog_deregister": lambda c: c.catalog_deregister("a"),
    "snapshot_restore": lambda c: c.snapshot_restore(b"x"),
}
EVERY = {**READS, **WRITES, **SILENT_WRITES, "snapshot_save": lambda c: c.snapshot_save()}
each_read = pytest.mark.parametrize("call", READS.values(), ids=READS.keys())
each_write = pytest.mark.parametrize(
    "call", {**WRITES, **SILENT_WRITES}.values(), ids={**WRITES, **SILENT_WRITES}.keys()
)
every_call = pytest.mark.parametrize("call", EVERY.values(), ids=EVERY.keys())


async def failure(call: Call, consul: ConsulClient) -> ConsulError:
    """The error that the call ends with."""
    with pytest.raises(ConsulError) as caught:
        await call(consul)
    for said in (str(caught.value), repr(caught.value)):
        assert TOKEN not in said
    assert "?" not in caught.value.operation
    return caught.value


# --- refusals ---


@every_call
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, ""),
        (403, "Permission denied"),
        (403, "ACL not found"),
        (500, "rpc error making call: Permission denied"),
        (500, "ACL not found"),
    ],
)
async def test_not_permitted(call: Call, status: int, body: str) -> None:
    error = await failure(call, client(status, body))
    assert isinstance(error, ConsulNotPermitted)
    assert error.status == status


async def test_a_transaction_says_not_permitted_in_its_errors() -> None:
    body = json.dumps({"Results": None, "Errors": [{"OpIndex": 0, "What": "Permission denied"}]})
    for ops in (SET_A, GET_A):
        with pytest.raises(ConsulNotPermitted):
            await client(409, body).txn(ops)


async def test_answers_left_out_of_a_read_are_not_permitted() -> None:
    error = await failure(
        lambda c: c.txn(GET_A), client(200, json.dumps({"Results": [], "Errors": None}))
    )
    assert isinstance(error, ConsulNotPermitted)


@every_call
@pytest.mark.parametrize("status", [400, 405, 413])
async def test_refused(call: Call, status: int) -> None:
    error = await failure(call, client(status, "no"))
    assert isinstance(error, ConsulRefused)
    assert (error.status, error.detail) == (status, "no")


@pytest.mark.parametrize(
    "body",
    [
        "Missing check 'x' registration",
        "Check 'x' is in critical state",
        "Missing node registration",
        "Invalid Session TTL '5000000000', must be between [10s=24h0m0s]",
    ],
)
async def test_a_session_refused_with_500(body: str) -> None:
    error = await failure(WRITES["session_create"], client(500, body))
    assert isinstance(error, ConsulRefused)


@pytest.mark.parametrize("name", ["agent_self", "kv_put", "catalog_nodes", "snapshot_save"])
async def test_not_found_where_that_is_no_answer(name: str) -> None:
    assert isinstance(await failure(EVERY[name], client(404)), ConsulNotFound)


async def test_absence_where_it_is_the_answer() -> None:
    consul = client(404, "", headers={"X-Consul-Index": "7"})
    reply = await consul.kv_get("a")
    assert (reply.value, reply.index, reply.known_leader) == (None, 7, None)
    assert (await consul.kv_list("a")).value == ()
    assert (await consul.kv_keys("a")).value == ()
    assert await consul.session_renew("a") is None
    assert await consul.check_pass("a") is False
    assert await consul.check_fail("a") is False
    await consul.service_deregister("a")
    await consul.check_deregister("a")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, 'Unknown check ID "a". Ensure that the check ID is passed, not the check name.'),
        (500, 'CheckID "a" does not have associated TTL'),
        (500, 'Unknown check "a"'),
    ],
)
async def test_an_unknown_check_in_each_version_of_consul(status: int, body: str) -> None:
    assert await client(status, body).check_pass("a") is False


# --- no usable answer ---


@every_call
@pytest.mark.parametrize("status", [301, 302, 408, 429, 500, 502, 503])
async def test_unavailable(call: Call, status: int) -> None:
    error = await failure(call, client(status, "later", headers={"Location": "/elsewhere"}))
    assert isinstance(error, ConsulUnavailable)
    assert error.status == status
    assert not error.no_leader


@each_read
async def test_an_unanswered_read_leaves_nothing_unknown(call: Call) -> None:
    for consul in (client(500, "oops"), client(error=httpx.ReadError("gone"))):
        error = await failure(call, consul)
        assert isinstance(error, ConsulUnavailable)
        assert not error.outcome_unknown


@each_write
@pytest.mark.parametrize(
    "problem",
    [
        httpx.ReadError("reset"),
        httpx.WriteError("broken pipe"),
        httpx.RemoteProtocolError("disconnected without sending a response"),
        httpx.DecodingError("bad gzip"),
        httpx.ReadTimeout("slow"),
        OSError(104, "reset"),
        UnicodeError("label too long"),
    ],
)
async def test_an_unanswered_write_may_have_happened(call: Call, problem: Exception) -> None:
    error = await failure(call, client(error=problem))
    assert isinstance(error, ConsulUnavailable)
    assert error.outcome_unknown


@each_write
@pytest.mark.parametrize("problem", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
async def test_a_write_that_never_left_has_not_happened(call: Call, problem: Exception) -> None:
    error = await failure(call, client(error=problem))
    assert isinstance(error, ConsulUnavailable)
    assert not error.outcome_unknown


@each_write
async def test_no_cluster_leader(call: Call) -> None:
    error = await failure(call, client(500, "No cluster leader"))
    assert isinstance(error, ConsulUnavailable)
    assert error.no_leader
    assert not error.outcome_unknown


@each_write
@pytest.mark.parametrize("body", ["leadership lost while committing log", "node is not the leader"])
async def test_a_leader_lost_meanwhile_leaves_the_outcome_unknown(call: Call, body: str) -> None:
    error = await failure(call, client(500, body))
    assert isinstance(error, ConsulUnavailable)
    assert error.no_leader
    assert error.outcome_unknown


async def test_a_deadline_ends_a_request_that_hangs() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    consul = ConsulClient(ConsulAddress(), http=httpx.MockTransport(hang), request_timeout_s=0.01)
    error = await failure(WRITES["kv_put"], consul)
    assert isinstance(error, ConsulUnavailable)
    assert error.outcome_unknown
    error = await failure(lambda c: c.kv_get("a", index=1, wait_s=0.01, deadline_s=0.01), consul)
    assert isinstance(error, ConsulUnavailable)
    assert not error.outcome_unknown


async def test_a_cancelled_call_is_cancelled_not_an_error() -> None:
    started = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    consul = ConsulClient(ConsulAddress(), http=httpx.MockTransport(hang))
    task = asyncio.ensure_future(consul.kv_get("a", index=1))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_answers_are_told_with_their_kind_whatever_they_say_and_failures_are_not() -> None:
    told: list[tuple[RequestKind, float]] = []
    for status in (200, 404, 500):
        consul = client(status, "[]")
        consul.tell_answers(lambda *answer: told.append(answer))
        for call in (READS["kv_list"], WRITES["kv_put"]):
            with contextlib.suppress(ConsulError):
                await call(consul)
    assert [kind for kind, _ in told] == [RequestKind.READ, RequestKind.WRITE] * 3
    assert all(took_s >= 0 for _, took_s in told)
    told.clear()
    consul = client(error=httpx.ConnectError("nobody"))
    consul.tell_answers(lambda *answer: told.append(answer))
    await failure(READS["kv_list"], consul)
    assert told == []


async def test_a_closed_client_refuses() -> None:
    consul = client()
    await consul.aclose()
    error = await failure(WRITES["kv_put"], consul)
    assert isinstance(error, ConsulUnavailable)
    assert not error.outcome_unknown


# --- rubbish ---

RUBBISH = [
    b"",
    b"<html>not found</html>",
    b"nul",
    b"\xff\xfe",
    b"7",
    b'"\\ud800',
    b"[7]",
    b'{"a": 7}',
    b'{"Results": 7}',
    b'{"Results": [{"KV": {"Key": 7}}]}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", RUBBISH)
@pytest.mark.parametrize("call", {**READS, **WRITES}.values(), ids={**READS, **WRITES}.keys())
async def test_rubbish_is_no_answer(
    call: Call, body: bytes, request: pytest.FixtureRequest
) -> None:
    error = await failure(call, client(200, body))
    assert isinstance(error, ConsulUnavailable)
    is_write = request.node.callspec.id.split("-")[0] in WRITES
    assert error.outcome_unknown == is_write


def _entry(**fields: object) -> bytes:
    return json.dumps([{"Key": "a", **fields}]).encode()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("kv_get", b"[]"),
        ("kv_get", b"null"),
        ("kv_get", b'[{"Key": "b"}]'),
        ("kv_get", b'[{"Key": "a"}, {"Key": "a"}]'),
        ("kv_get", _entry(Value="not base64!")),
        ("kv_get", _entry(Value="\xe9")),
        ("kv_get", _entry(ModifyIndex=-1)),
        ("kv_get", _entry(ModifyIndex=1e99)),
        ("kv_get", _entry(ModifyIndex=True)),
        ("kv_get", _entry(Flags=2**64)),
        ("kv_get", _entry(Session=["x"])),
        ("txn of gets", b'{"Results": [{"KV": {"Key": "b"}}], "Errors": null}'),
        ("txn of gets", b'{"Results": [{"KV": {"Key": "a"}}]}'),
        ("session_info", b'[{"ID": "a", "Node": "b", "TTL": "soon"}]'),
        ("session_info", b'[{"ID": "a", "Node": "b", "Checks": "serfHealth"}]'),
        ("session_info", b'[{"ID": "a", "Node": "b", "LockDelay": -1}]'),
        ("health_service", b'[{"Node": {"Node": "a"}, "Service": 7}]'),
        ("health_service", b'[{"Node": {"Node": "a"}, "Service": {"ID": "i"}}]'),
        ("health_node", b'[{"CheckID": ["a"]}]'),
        ("agent_self", b'{"Config": {}}'),
        ("catalog_nodes", b'[{"Node": "a", "Meta": {"k": 7}}]'),
        ("catalog_services", b'{"a": [7]}'),
    ],
)
async def test_nearly_right_is_no_answer(name: str, body: bytes) -> None:
    assert isinstance(await failure(READS[name], client(200, body)), ConsulUnavailable)


async def test_a_conflict_without_errors_is_no_answer() -> None:
    assert isinstance(await failure(WRITES["txn"], client(409, "{}")), ConsulUnavailable)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "ID",
                    "Key",
                    "Value",
                    "KV",
                    "Results",
                    "Errors",
                    "Node",
                    "Service",
                    "Checks",
                    "TTL",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(body=JSON, status=st.sampled_from([200, 409, 404, 500]))
def test_no_answer_escapes_as_anything_else(body: object, status: int) -> None:
    async def ask() -> None:
        consul = client(status, json.dumps(body))
        for call in {**READS, **WRITES}.values():
            try:
                await call(consul)
            except ConsulError:
                continue

    asyncio.run(ask())


@pytest.mark.parametrize("index", ["", "-1", "x", "1.5", "1e3", "9" * 40, " 7", b"\xef\xbc\x97"])
async def test_an_unreadable_index_counts_as_none(index: str | bytes) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raw = index.encode() if isinstance(index, str) else index
        return httpx.Response(404, headers=[(b"X-Consul-Index", raw)])

    consul = ConsulClient(ConsulAddress(), http=httpx.MockTransport(answer))
    assert (await consul.kv_get("a")).index == 0


async def test_an_endless_reply_is_cut_off() -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield b" " * 2**20

    consul = ConsulClient(
        ConsulAddress(),
        http=httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless())),
        request_timeout_s=60,
    )
    assert isinstance(await failure(READS["kv_get"], consul), ConsulUnavailable)


# --- what is sent ---


@every_call
async def test_the_token_goes_as_a_header_only(call: Call) -> None:
    sent: list[httpx.Request] = []
    with pytest.raises(ConsulError):
        await call(client(400, sent=sent))
    assert sent[0].headers["X-Consul-Token"] == TOKEN
    assert TOKEN not in str(sent[0].url)
    assert "token" not in str(sent[0].url)


async def test_a_proxy_that_echoes_the_request_does_not_leak_the_token() -> None:
    error = await failure(READS["kv_get"], client(502, f"X-Consul-Token: {TOKEN}"))
    assert error.detail.endswith("(token)")


async def test_the_datacenter_goes_where_it_counts() -> None:
    sent: list[httpx.Request] = []
    consul = client(404, address=ConsulAddress(datacenter="dc7"), sent=sent)
    await consul.kv_get("a")
    await consul.check_pass("a")
    assert [r.url.params.get("dc") for r in sent] == ["dc7", None]


async def test_values_and_sessions_are_written_as_consul_wants_them() -> None:
    sent: list[httpx.Request] = []
    consul = client(400, sent=sent)
    op = TxnOp.kv_lock("a", b"\x00\xff", "sid", flags=5)
    with pytest.raises(ConsulRefused):
        await consul.txn([op])
    with pytest.raises(ConsulRefused):
        await consul.session_create(name="n", checks=["x"], lock_delay_s=2.5, ttl_s=15)
    assert json.loads(sent[0].content) == [
        {
            "KV": {
                "Verb": "lock",
                "Key": "a",
                "Value": base64.b64encode(b"\x00\xff").decode(),
                "Flags": 5,
                "Session": "sid",
            }
        }
    ]
    assert json.loads(sent[1].content) == {
        "Name": "n",
        "NodeChecks": ["x"],
        "LockDelay": "2500ms",
        "Behavior": "release",
        "TTL": "15000ms",
    }


async def test_a_token_file_is_followed(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []
    path = tmp_path / "token"
    address = ConsulAddress(token="unused", token_file=path)
    consul = client(404, address=address, sent=sent)
    error = await failure(READS["kv_get"], consul)
    assert isinstance(error, ConsulNotPermitted)
    assert sent == []
    path.write_text("first\n")
    await consul.kv_get("a")
    path.write_text("the second\n")
    await consul.kv_get("a")
    path.unlink()
    await consul.kv_get("a")
    assert [r.headers["X-Consul-Token"] for r in sent] == ["first", "the second", "the second"]


async def test_another_token_is_counted_and_the_same_one_written_anew_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "token"
    consul = client(404, address=ConsulAddress(token_file=path))
    counts = []
    for text in ("first", "first ", "second", "second\n", "first"):
        path.write_text(text)
        await consul.kv_get("a")
        counts.append(consul.token_changes)
    assert counts == [0, 0, 1, 1, 2]


async def test_an_empty_token_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("\n")
    consul = client(address=ConsulAddress(token_file=path))
    assert isinstance(await failure(READS["kv_get"], consul), ConsulNotPermitted)


# --- arguments that no Consul could take ---


@pytest.mark.parametrize(
    "key", ["", "/a", "a/../b", "..", "./a", "a//b", "a\nb", "a\x00", "a/..", "\ud800", "a\x7f"]
)
async def test_a_bad_key_is_refused_before_anything_is_sent(key: str) -> None:
    sent: list[httpx.Request] = []
    consul = client(sent=sent)
    calls: list[Awaitable[object]] = [
        consul.kv_get(key),
        consul.kv_put(key, b""),
        consul.kv_delete(key, recurse=True),
        consul.txn([TxnOp.kv_set(key, b"")]),
        consul.session_destroy(key),
        consul.check_pass(key),
        consul.health_service(key),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="key"):
            await call
    assert sent == []


async def test_an_unknown_state_is_refused() -> None:
    with pytest.raises(ValueError, match="state"):
        await client().health_state("unwell")
