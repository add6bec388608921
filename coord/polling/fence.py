"""Which terms a poller still takes polls of. PURE.

Theory of operation. A leader's term is in the term key before it sends a poll, and the term key of
one Consul only ever rises. So a poller refuses every term below the newest that it knows of.

Consul itself may go back: it is restored from a snapshot, or wiped. Its term then starts from a
lower value, and a poller that outlived this would refuse every leader for ever. So the term is
lowered again, by `Seen.confirmed`, if all of this is so:

- The key was read *consistently*: a quorum vouches for the answer, so it shows every write that was
  committed before the read began. A deposed Consul server or a slow answer cannot show the past.
- It shows a lower term than was known *before the read began*, and nothing newer was learnt while
  it was under way: an answer that was merely overtaken is dropped.
- It is not the key that the known term was read from, as it went on: its ModifyIndex went back, or
  its CreateIndex is another. Within one life of Consul an index never goes back, and candidates
  never lower the key nor delete it (one that finds it missing starts above every index). A plain
  write of a lower number by hand keeps the CreateIndex and raises the ModifyIndex: it lowers
  nothing here. The one exception is a term at its limit, where only a hand can have put it:
  candidates start over from there.

A term that was taken on trust, while Consul did not answer, was never read and has no indexes: if
a consistent read that began later does not bear it out, it was never granted in this Consul.

This weakens no fence: whoever led under the higher term was granted it by a Consul that is gone.
Its next confirmation fails, and it could write nothing any more. A key that is missing, unreadable
or out of reach says nothing, and lowers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from coord.records import MAX_TERM


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest term known, and the term key's indexes when it was read.

    term: 0: none yet.
    create_index, modify_index: 0 if the term was taken on trust.
    """

    term: int = 0
    create_index: int = 0
    modify_index: int = 0

    def raised(self, other: Seen) -> Seen:
        """What is known after learning of `other`, from anywhere: never less than before."""
        if other.term > self.term or (other.term == self.term and other.modify_index):
            return other
        return self

    def confirmed(self, before: Seen, read: Seen) -> Seen:
        """What is known after a consistent read of the key gave `read`; it may be a lower term.

        before: what was known when the read began.
        """
        gone_back = read.modify_index < before.modify_index
        made_anew = read.create_index != before.create_index
        started_over = before.term >= MAX_TERM
        another = gone_back or made_anew or started_over
        if self == before and read.term < before.term and another:
            return read
        return self.raised(read)
