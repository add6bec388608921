"""From a snapshot to what is shown of it. Pure: no clock, no I/O, nothing of Textual.

Every function takes the snapshot and `now` (monotonic seconds) and gives lines of spans; which
colour a tone has is for whoever draws. No tone says anything that a word or a symbol does not.
"""
