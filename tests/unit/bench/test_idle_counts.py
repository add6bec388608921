"""What is read out of Consul's telemetry."""

from __future__ import annotations

from bench.idle import RAFT, RPC, counts, is_local, is_request, rates

OLD = """
# TYPE consul_client_rpc counter
consul_client_rpc 14
# TYPE consul_http_GET_v1_kv__ summary
consul_http_GET_v1_kv__{quantile="0.5"} NaN
consul_http_GET_v1_kv___sum 1.77
consul_http_GET_v1_kv___count 5
# TYPE consul_http_PUT_v1_agent_check_pass__ summary
consul_http_PUT_v1_agent_check_pass___count 7
# TYPE consul_http_GET_v1_agent_metrics summary
consul_http_GET_v1_agent_metrics_count 2
# TYPE consul_raft_apply counter
consul_raft_apply 11
# TYPE consul_fsm_kvs summary
consul_fsm_kvs_count{op="set"} 5
consul_fsm_kvs_count{op="delete"} 1
"""

NEW = """
# TYPE consul_api_http summary
consul_api_http_count{method="GET",path="v1_kv_"} 5
consul_api_http_count{method="PUT",path="v1_agent_check_pass_"} 7
"""


def test_requests_writes_and_calls_are_told_apart() -> None:
    found = counts(OLD)
    assert found["GET kv"] == 5
    assert found["PUT agent_check_pass"] == 7
    assert (found[RPC], found[RAFT], found["fsm kvs"]) == (14, 11, 6)
    assert {name for name in found if is_request(name)} == {"GET kv", "PUT agent_check_pass"}
    assert is_local("PUT agent_check_pass")
    assert not is_local("GET kv")


def test_both_ways_in_which_consul_names_requests_count_once() -> None:
    assert counts(NEW) == {"GET kv": 5, "PUT agent_check_pass": 7}
    assert counts(OLD + NEW)["GET kv"] == 5


def test_rates_are_of_what_was_added() -> None:
    assert rates({"a": 4, "b": 1}, {"a": 10, "b": 1, "c": 2}, 2.0) == {"a": 3.0, "c": 1.0}
