"""The election: pure decisions. `machine.Election.handle(event, now)` returns what to do next.

Read `states` first: it has the theory of operation and the table of everything that may happen.
"""

from coord.election.machine import Election
from coord.election.states import TABLE, State
from coord.election.timing import Budget, Timing, TimingError, budget

__all__ = ["TABLE", "Budget", "Election", "State", "Timing", "TimingError", "budget"]
