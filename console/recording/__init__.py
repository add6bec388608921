"""The flight recorder: what the console knew, change by change, in a file; and its way back.

A recording is lines of JSON: a header, then one line for each change, which says only what differs
from the line before. `patch` makes and applies differences, `form` turns snapshots into JSON and
back, `writing` and `reading` do the files, `player` says what is shown when it is played.
"""
