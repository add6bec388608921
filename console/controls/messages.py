"""What the dialogs want done, and what they are told of it. Wishes rise to the app, which has the
desk; answers are posted to the dialog."""

from __future__ import annotations

from textual.message import Message
from textual.screen import Screen

from console.controls.course import Course
from console.controls.runs import RunCourse
from console.controls.sight import Sight
from coord.consul import ConsulError
from coord.operations import Preview


class LookWanted(Message):
    """`asker` wants to know how that election is now; `LookedAt` or `LookFailed` answers it."""

    def __init__(self, asker: Screen[None], election: str) -> None:
        super().__init__()
        self.asker = asker
        self.election = election


class LookedAt(Message):
    """This is how it is."""

    def __init__(self, sight: Sight) -> None:
        super().__init__()
        self.sight = sight


class LookFailed(Message):
    """Consul cannot be read."""

    def __init__(self, error: ConsulError) -> None:
        super().__init__()
        self.error = error


class BeginWanted(Message):
    """`plan` was confirmed; whoever follows it is told by `Progressed`."""

    def __init__(self, plan: Preview, reason: str) -> None:
        super().__init__()
        self.plan = plan
        self.reason = reason


class Progressed(Message):
    """An operation is further than before, or has ended."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course


class TakeBackWanted(Message):
    """The request of this operation is to be withdrawn, if nobody has answered it."""

    def __init__(self, id: str) -> None:
        super().__init__()
        self.id = id


class RunWanted(Message):
    """A run of that schedule was confirmed; whoever follows that id is told by `RunProgressed`."""

    def __init__(self, id: str, election: str, schedule: str) -> None:
        super().__init__()
        self.id = id
        self.election = election
        self.schedule = schedule


class RunProgressed(Message):
    """A run that was asked for is further than before, or has ended."""

    def __init__(self, course: RunCourse) -> None:
        super().__init__()
        self.course = course


class RunBackWanted(Message):
    """The request for that run is to be withdrawn, if nobody has taken it up."""

    def __init__(self, id: str) -> None:
        super().__init__()
        self.id = id
