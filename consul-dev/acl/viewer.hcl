# The viewer of election coordinator: who only looks: coord status, history, events.

# All that is kept of the election.
key_prefix "service/coordinator/" { policy = "list" }

# Whether the leader's session is alive.
session_prefix "" { policy = "read" }

# To see the members. Who sees Consul's own service knows that no list was kept back.
service "coordinator-candidate" { policy = "read" }
service "coordinator" { policy = "read" }
service "coordinator-observer" { policy = "read" }
service "poller" { policy = "read" }
service "consul" { policy = "read" }
node_prefix "" { policy = "read" }

# To tell the agent's name and Consul's version.
agent_prefix "" { policy = "read" }
