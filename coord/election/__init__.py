"""The election: pure decisions. `machine.Election.handle(event, now)` returns what to do next.

Read `states` first: it has the theory of operation and the table of everything that may happen.
"""
