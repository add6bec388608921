"""Polling: the coordination work that `coord` brings along.

`records` is what is kept in Consul and sent between nodes, `store` where it is kept; `jobs` and
`schedules` decide, purely; `orchestrator` runs on the leader and sends due polls to the nodes that
run `poller`, which runs `checks`, of `kinds` that users bring too, connecting by `dialling`.
What operators write is read by `drafts` and written by `editing`.
"""
