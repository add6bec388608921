# The operator of election coordinator: who acts: coord step-down, transfer, pause, ….

# To see what is decided on.
key_prefix "service/coordinator/" { policy = "list" }

# What is asked of the nodes, what is polled, and who asked what and why.
key_prefix "service/coordinator/control/" { policy = "write" }
key_prefix "service/coordinator/polls/schedules/" { policy = "write" }
key_prefix "service/coordinator/polls/asked/" { policy = "write" }
key_prefix "service/coordinator/audit/" { policy = "write" }

# To destroy the session of a leader that does not answer (force-release).
session_prefix "" { policy = "write" }

# To take from the catalog what a dead process left (doctor --fix).
service "coordinator-candidate" { policy = "write" }
service "coordinator" { policy = "write" }
service "coordinator-observer" { policy = "write" }
service "poller" { policy = "write" }

# To see the members. Who sees Consul's own service knows that no list was kept back.
service "consul" { policy = "read" }
node_prefix "" { policy = "read" }

# To tell the agent's name and Consul's version.
agent_prefix "" { policy = "read" }
