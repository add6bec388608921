"""What is wrong with an election, what that means, and what to do about it.

`gather` looks (reading only), `judge` decides (purely), `probe` tries rights on things that it
takes away again, `fix` does what is safe, `examine` is all of it in its order.
"""

from coord.doctor.codes import Code, Severity, Subject
from coord.doctor.examine import Progress, Stage, examine
from coord.doctor.facts import Facts, Here
from coord.doctor.findings import Finding, Fix, Fixed, FixKind, Report, Skipped
from coord.doctor.gather import gather
from coord.doctor.here import here_of
from coord.doctor.judge import judge
from coord.doctor.text import render_report, to_dict, to_json

__all__ = [
    "Code",
    "Facts",
    "Finding",
    "Fix",
    "FixKind",
    "Fixed",
    "Here",
    "Progress",
    "Report",
    "Severity",
    "Skipped",
    "Stage",
    "Subject",
    "examine",
    "gather",
    "here_of",
    "judge",
    "render_report",
    "to_dict",
    "to_json",
]
