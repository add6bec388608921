# The candidate of election coordinator: a node that may lead.

# The leader key, the term, the journal, and what the leader's work keeps.
key_prefix "service/coordinator/" { policy = "write" }

# What operators write; a node obeys it, and takes away a pause that is over.
key_prefix "service/coordinator/control/" { policy = "list" }
key "service/coordinator/control/keep" { policy = "write" }
key "service/coordinator/control/pause" { policy = "write" }
key_prefix "service/coordinator/polls/schedules/" { policy = "list" }
key_prefix "service/coordinator/audit/" { policy = "list" }

# The session that holds the lock, on the node of the agent that is used.
session_prefix "" { policy = "write" }

# To be registered and found, and to take from the catalog what a dead leader left.
service "coordinator-candidate" { policy = "write" }
service "coordinator" { policy = "write" }

# To see the members. Who sees Consul's own service knows that no list was kept back.
service "coordinator-observer" { policy = "read" }
service "poller" { policy = "read" }
service "consul" { policy = "read" }
node_prefix "" { policy = "read" }
