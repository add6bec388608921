# The poller of election coordinator: a node that may not lead.

# To follow who leads in which term, and to show it.
key "service/coordinator/leader" { policy = "read" }
key "service/coordinator/term" { policy = "read" }
key "service/coordinator/cluster/health" { policy = "read" }
key_prefix "service/coordinator/control/" { policy = "list" }

# To be registered and found.
service "poller" { policy = "write" }
service "coordinator-observer" { policy = "write" }

# To see the members. Who sees Consul's own service knows that no list was kept back.
service "coordinator-candidate" { policy = "read" }
service "coordinator" { policy = "read" }
service "consul" { policy = "read" }
node_prefix "" { policy = "read" }
