"""Services and checks: what the agent keeps, what the catalog says of it, what is refused."""

from __future__ import annotations

import asyncio

import pytest
from consul_agents import entry_of, eventually, new_session, session_with_check, take

from coord.consul import (
    CheckStatus,
    ConsulApi,
    ConsulRefused,
    HealthCheck,
    ServiceRegistration,
    TtlCheck,
)

PASSING, CRITICAL = CheckStatus.PASSING, CheckStatus.CRITICAL


async def in_catalog(consul: ConsulApi, check_id: str) -> HealthCheck:
    """The check as the servers have it."""
    node = (await consul.agent_self()).node_name
    reply = await eventually(
        lambda: consul.health_node(node),
        until=lambda r: check_id in [c.check_id for c in r.value],
    )
    return next(c for c in reply.value if c.check_id == check_id)


async def synced(consul: ConsulApi, name: str) -> None:
    """What was asked of the agent before this is in the catalog."""
    await consul.service_register(ServiceRegistration(f"{name}-last", f"{name}-last"))
    await eventually(lambda: consul.health_service(f"{name}-last"), until=lambda r: r.value)
    await consul.service_deregister(f"{name}-last")


# --- what the catalog says ---


async def test_a_check_as_agent_and_catalog_have_it(consul: ConsulApi, name: str) -> None:
    check = TtlCheck(f"{name}:c", "its name", 60.0, "why", PASSING)
    await consul.service_register(ServiceRegistration(f"{name}-1", name, checks=(check,)))
    node = (await consul.agent_self()).node_name
    expected = HealthCheck(node, f"{name}:c", "its name", PASSING, "", "why", f"{name}-1", name)
    assert await in_catalog(consul, f"{name}:c") == expected
    assert (await consul.agent_checks())[f"{name}:c"] == expected
    assert await consul.check_fail(f"{name}:c", "broken")
    failed = HealthCheck(
        node, f"{name}:c", "its name", CRITICAL, "broken", "why", f"{name}-1", name
    )
    assert (await consul.agent_checks())[f"{name}:c"] == failed
    await eventually(lambda: in_catalog(consul, f"{name}:c"), until=lambda c: c == failed)
    await consul.service_deregister(f"{name}-1")


async def test_what_an_agent_has_answered_is_in_the_catalog(consul: ConsulApi, name: str) -> None:
    """While the servers can take it: the agent writes what is new before it answers."""
    check = TtlCheck(name, name, 60.0, status=PASSING)
    for _ in range(5):
        await consul.service_register(ServiceRegistration(name, name, checks=(check,)))
        (instance,) = (await consul.health_service(name)).value
        assert instance.status is PASSING
        await consul.check_fail(name)
        (instance,) = (await consul.health_service(name)).value
        assert instance.status is CRITICAL
        await consul.service_deregister(name)
        assert (await consul.health_service(name)).value == ()


async def test_a_check_that_runs_out_says_so_with_its_last_note(
    consul: ConsulApi, name: str
) -> None:
    checks = [TtlCheck(f"{name}:{i}", "c", 0.5, status=PASSING) for i in range(2)]
    await consul.service_register(ServiceRegistration(name, name, checks=tuple(checks)))
    assert await consul.check_pass(f"{name}:1", "all is well")
    for number, said in enumerate(("", " (last output before timeout follows): all is well")):
        check = await eventually(
            lambda number=number: in_catalog(consul, f"{name}:{number}"),  # type: ignore[misc]
            until=lambda c: c.status is CRITICAL,
        )
        assert check.output == f"TTL expired{said}"
    await consul.service_deregister(name)


async def test_a_note_without_a_change_of_status_is_held_back(consul: ConsulApi, name: str) -> None:
    await session_with_check(consul, name)
    assert await consul.check_pass(name, "new")
    assert (await consul.agent_checks())[name].output == "new"
    await synced(consul, name)
    assert (await in_catalog(consul, name)).output == ""
    # With a change of status it goes along.
    assert await consul.check_fail(name, "newer")
    await eventually(lambda: in_catalog(consul, name), until=lambda c: c.output == "newer")
    await consul.service_deregister(name)


async def test_instances_and_their_checks_come_in_order(consul: ConsulApi, name: str) -> None:
    await consul.check_register(TtlCheck(f"{name}:node", "n", 60, status=PASSING))
    for instance in ("b", "c", "a"):
        checks = tuple(TtlCheck(f"{name}:{instance}{i}", "c", 60.0) for i in (2, 1))
        await consul.service_register(
            ServiceRegistration(f"{name}-{instance}", name, checks=checks)
        )
    await consul.check_register(TtlCheck("a-check-first-of-all", "n", 60, status=PASSING))
    reply = await eventually(
        lambda: consul.health_service(name),
        until=lambda r: sum(len(i.checks) for i in r.value) == 15,
    )
    assert [i.id for i in reply.value] == [f"{name}-{x}" for x in "abc"]
    assert [c.check_id for c in reply.value[0].checks] == [
        "a-check-first-of-all",
        "serfHealth",
        f"{name}:node",
        f"{name}:a1",
        f"{name}:a2",
    ]
    node = reply.value[0].node
    assert reply.value[0].node_address == (await consul.agent_self()).address
    ids = [c.check_id for c in (await consul.health_node(node)).value]
    assert ids == sorted(ids)
    for state in ("any", "passing", "critical", "warning"):
        found = (await consul.health_state(state)).value
        assert {c.status.value for c in found} <= ({state} if state != "any" else {*CheckStatus})
        assert (f"{name}:a1" in [c.check_id for c in found]) is (state in ("any", "critical"))
    assert (await consul.health_node("nobody")).value == ()
    for check in (f"{name}:node", "a-check-first-of-all"):
        await consul.check_deregister(check)
    for instance in "abc":
        await consul.service_deregister(f"{name}-{instance}")


async def test_serf_health_is_there_from_the_start(consul: ConsulApi) -> None:
    check = await in_catalog(consul, "serfHealth")
    node = (await consul.agent_self()).node_name
    assert check == HealthCheck(
        node, "serfHealth", "Serf Health Status", PASSING, "Agent alive and reachable"
    )
    assert "serfHealth" not in await consul.agent_checks()


async def test_the_servers_are_a_service_themselves(consul: ConsulApi) -> None:
    assert (await consul.catalog_services())["consul"] == ()
    (instance,) = (await consul.health_service("consul")).value
    assert (instance.id, instance.node) == ("consul", (await consul.agent_self()).node_name)
    assert [c.check_id for c in instance.checks if not c.service_id][-1:] == ["serfHealth"]
    assert "consul" not in await consul.agent_services()


async def test_a_service_without_a_check_passes(consul: ConsulApi, name: str) -> None:
    await consul.service_register(ServiceRegistration(name, name))
    reply = await eventually(
        lambda: consul.health_service(name, passing=True), until=lambda r: r.value
    )
    assert [c.check_id for c in reply.value[0].checks] == ["serfHealth"]
    await consul.service_deregister(name)


# --- registering again ---


async def test_registering_with_other_words_changes_the_catalog(
    consul: ConsulApi, name: str
) -> None:
    await session_with_check(consul, name)
    again = ServiceRegistration(name, f"{name}-b", 17, "10.9.8.7", ("t",), {"k": "v"})
    await consul.service_register(again)
    reply = await eventually(lambda: consul.health_service(f"{name}-b"), until=lambda r: r.value)
    (instance,) = reply.value
    assert (instance.port, instance.address, instance.tags) == (17, "10.9.8.7", ("t",))
    assert instance.meta == {"k": "v"}
    assert (await consul.health_service(name)).value == ()
    # The check of the first registration is still there.
    assert name in await consul.agent_checks()
    await consul.service_deregister(name)


@pytest.mark.parametrize("reported", [True, False])
@pytest.mark.parametrize("again", [PASSING, CRITICAL])
async def test_registering_a_check_again(
    consul: ConsulApi, name: str, reported: bool, again: CheckStatus
) -> None:
    """By itself, not with its service: it keeps its status then too."""
    first = CRITICAL if again is PASSING else PASSING
    await consul.service_register(
        ServiceRegistration(name, name, checks=(TtlCheck(name, name, 60.0, status=first),))
    )
    if reported:
        report = consul.check_pass if first is PASSING else consul.check_fail
        assert await report(name, "said")
    await consul.check_register(TtlCheck(name, name, 60.0, status=again), service_id=name)
    check = (await consul.agent_checks())[name]
    assert (check.status, check.output) == (first, "said" if reported else "")
    await consul.service_deregister(name)


async def test_a_check_registered_again_has_its_whole_ttl(consul: ConsulApi, name: str) -> None:
    check = TtlCheck(name, name, 1.0, status=PASSING)
    registration = ServiceRegistration(name, name, checks=(check,))
    await consul.service_register(registration)
    for _ in range(3):
        await asyncio.sleep(0.6)
        await consul.service_register(registration)
    assert (await consul.agent_checks())[name].status is PASSING
    await consul.service_deregister(name)


# --- what is refused ---


@pytest.mark.parametrize(
    "registration",
    [
        ServiceRegistration("x", ""),
        ServiceRegistration("x", "x", checks=(TtlCheck("x", "x", 0.0),)),
    ],
    ids=["no name", "no ttl"],
)
async def test_a_registration_that_makes_no_sense_is_refused(
    consul: ConsulApi, registration: ServiceRegistration
) -> None:
    with pytest.raises(ConsulRefused) as caught:
        await consul.service_register(registration)
    assert caught.value.status == 400
    assert "x" not in await consul.agent_services()


async def test_a_check_that_makes_no_sense_is_refused(consul: ConsulApi, name: str) -> None:
    with pytest.raises(ConsulRefused) as caught:
        await consul.check_register(TtlCheck(name, name, 0.0))
    assert caught.value.status == 400
    with pytest.raises(ConsulRefused) as unknown:
        await consul.check_register(TtlCheck(name, name, 60.0), service_id="no-such-service")
    assert unknown.value.status == 500
    assert name not in await consul.agent_checks()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"checks": ["nope"]}, "Missing check 'nope' registration"),
        ({"checks": [], "node": "nope"}, "Missing node registration"),
        ({"checks": [], "ttl_s": 9}, "Invalid Session TTL '9000000000', must be between"),
        ({"checks": [], "ttl_s": 86401}, "Invalid Session TTL '86401000000000', must be"),
        ({"checks": [], "behavior": "keep"}, "Invalid Behavior setting 'keep'"),
    ],
)
async def test_a_session_that_is_refused_says_why(
    consul: ConsulApi, settings: dict[str, object], text: str
) -> None:
    with pytest.raises(ConsulRefused) as caught:
        await consul.session_create(name="s", lock_delay_s=1, **settings)  # type: ignore[arg-type]
    assert caught.value.detail.startswith(text)


async def test_a_session_on_a_critical_check_says_so(consul: ConsulApi, name: str) -> None:
    await session_with_check(consul, name)
    await consul.check_fail(name)
    await eventually(lambda: in_catalog(consul, name), until=lambda c: c.status is CRITICAL)
    with pytest.raises(ConsulRefused) as caught:
        await consul.session_create(name=name, checks=[name], lock_delay_s=1)
    assert caught.value.detail == f"Check '{name}' is in critical state"
    assert caught.value.status == 500
    await consul.service_deregister(name)


# --- sessions and their ends ---


async def test_the_end_of_a_deleting_session_deletes_and_delays(
    consul: ConsulApi, name: str
) -> None:
    session = await consul.session_create(
        name=name, checks=["serfHealth"], lock_delay_s=60, behavior="delete"
    )
    assert await take(consul, name, session)
    assert await consul.session_destroy(session)
    assert (await consul.kv_get(name)).value is None
    assert not await take(consul, name, await new_session(consul, name))


async def test_a_lock_delay_shorter_than_a_second_counts(consul: ConsulApi, name: str) -> None:
    session = await new_session(consul, name, lock_delay_s=0.5)
    other = await new_session(consul, name)
    assert await take(consul, name, session)
    await consul.session_destroy(session)
    assert not await take(consul, name, other)
    await asyncio.sleep(0.6)
    assert await take(consul, name, other)


async def test_no_lock_delay_is_none(consul: ConsulApi, name: str) -> None:
    session = await new_session(consul, name, lock_delay_s=0)
    assert await take(consul, name, session)
    await consul.session_destroy(session)
    assert await take(consul, name, await new_session(consul, name))


async def test_all_keys_of_a_session_are_freed_at_once(consul: ConsulApi, name: str) -> None:
    session = await new_session(consul, name)
    for leaf in ("a", "b"):
        assert await take(consul, f"{name}/{leaf}", session)
    await consul.session_destroy(session)
    entries = [await entry_of(consul, f"{name}/{leaf}") for leaf in ("a", "b")]
    assert [e.session for e in entries] == [None, None]
    assert entries[0].modify_index == entries[1].modify_index


async def test_removing_what_is_not_there_changes_nothing(consul: ConsulApi, name: str) -> None:
    node = (await consul.agent_self()).node_name
    on_node = await new_session(consul, name)
    assert await take(consul, name, on_node)
    await consul.catalog_deregister("nobody")
    await consul.catalog_deregister("nobody", "nothing")
    await consul.catalog_deregister(node, "nothing")
    assert await consul.session_info(on_node) is not None
