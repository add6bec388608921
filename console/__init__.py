"""The console: one election live in a terminal.

`source` reads Consul and makes frozen snapshots, `view` (pure) makes lines and rows of them, and
`app`, `screens` and `widgets` show those. Screens do no I/O.
"""
