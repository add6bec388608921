"""What anybody with some rights in Consul can write must not leave a fleet without a leader."""

from __future__ import annotations

from acceptance import FAST, Bench, MakeBench

from coord.consul import CheckStatus, ServiceRegistration, TtlCheck
from coord.records import MAX_TERM


async def _register_stranger(bench: Bench, name: str) -> None:
    service = bench.paths.candidate_service
    check = TtlCheck(
        id=f"{service}-stranger", name="stranger", ttl_s=3600.0, status=CheckStatus.PASSING
    )
    await bench.consul.service_register(
        ServiceRegistration(
            id=f"{service}-stranger", name=service, meta={"node": name}, checks=(check,)
        )
    )


async def test_a_candidate_with_an_impossible_name_hurts_nobody(make_bench: MakeBench) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2")
    old, term = await bench.working_leader()
    await _register_stranger(bench, "bad name")
    old.kill()
    new, _ = await bench.working_leader(after_term=term)
    assert (await bench.record()).successors == ()
    for node in (old, new):
        assert "crashed" not in node.log_path.read_text()


async def test_a_term_at_its_limit_is_started_over(make_bench: MakeBench) -> None:
    bench = await make_bench(env=FAST)
    await bench.consul.kv_put(bench.paths.term, str(MAX_TERM).encode())
    await bench.fleet.start("core-1")
    node, term = await bench.working_leader()
    assert term < MAX_TERM
    assert "crashed" not in node.log_path.read_text()


async def test_since_is_when_it_was_elected_whoever_joins_later(bench: Bench) -> None:
    await bench.fleet.start("core-1")
    await bench.working_leader()
    elected = await bench.record()
    await bench.fleet.start("core-2")
    record = await bench.record()
    while not record.successors:
        reply = await bench.consul.kv_get(bench.paths.leader)
        await bench.consul.kv_get(bench.paths.leader, index=reply.index, wait_s=1.0)
        record = await bench.record()
    assert record.successors == ("core-2",)
    assert (record.since, record.term) == (elected.since, elected.term)
