"""What an app needs to have schedules run: beside `acting`, whose desk and rights it shares."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import SystemCommand

from console.controls.acting import ActingApp
from console.controls.messages import RunBackWanted, RunProgressed, RunWanted
from console.controls.runs import NO_SCHEDULE, SHOWN, TITLE, RunCourse, in_a_word
from console.screens.run import RunScreen
from console.widgets.markup import as_markup
from coord.status.words import plain


class RunningApp(ActingApp):
    """An app that may ask for a run of the schedule under the cursor."""

    @property
    def schedule_under_cursor(self) -> str | None:
        """The last part of the key of the schedule that a run would be of; None: there is none."""
        return None

    def action_run_now(self) -> None:
        """Open the dialog that previews, asks for and follows a run."""
        schedule = self.schedule_under_cursor
        if schedule is None:
            self._not_run(NO_SCHEDULE)
            return
        runs = self._desk.runs.under_way if self._desk is not None else ()
        here = (schedule, self.snapshot.election)
        course = next((each for each in runs if (each.schedule, each.election) == here), None)
        self.push_screen(RunScreen(schedule, self._place(), course))

    def action_run_not(self) -> None:
        """Say why there is no run; the token may have gained the right since."""
        self._not_run(self.mode.why_no_run)
        self.try_rights()

    def _not_run(self, why: str) -> None:
        self.notify(f"{TITLE}: {why}", severity="warning", markup=False)

    def act_commands(self) -> Iterator[SystemCommand]:
        """What ctrl+p offers."""
        yield from super().act_commands()
        schedule, why_not = self.schedule_under_cursor, self.mode.why_no_run
        if schedule is not None:
            does = f"not now: {why_not}" if why_not else "out of turn; shows first what it does"
            run = self.action_run_not if why_not else self.action_run_now
            title = f"{TITLE} {plain(schedule, SHOWN)}"
            yield SystemCommand(as_markup(title), as_markup(does), run)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The key for a run says itself whether there may be one."""
        if action in ("run_now", "run_not"):
            return bool(self.mode.why_no_run) is (action == "run_not")
        return super().check_action(action, parameters)

    # -- what the dialog wants -------------------------------------------------------------

    def on_run_wanted(self, message: RunWanted) -> None:
        """Ask for it: from now on it is the desk's, and goes on without its dialog."""
        assert self._desk is not None, "without a desk no dialog asks for anything"
        begin = self._desk.runs.begin
        self._run_told(begin(message.id, message.election, message.schedule, self._run_told))

    def on_run_back_wanted(self, message: RunBackWanted) -> None:
        """Withdraw it, if nobody has taken it up."""
        if self._desk is not None:
            self._desk.runs.take_back(message.id)

    def _run_told(self, course: RunCourse) -> None:
        """Show how it stands: in its dialog, or, where that is closed, its end as a notice."""
        if not self.is_running:
            return
        shown = [s for s in self.screen_stack if isinstance(s, RunScreen) and s.follows(course)]
        for screen in shown:
            screen.post_message(RunProgressed(course))
        if course.not_permitted:
            self.try_rights()
        if course.ended and not shown:
            self.notify_of_end(in_a_word(course), course.title, good=course.ok)
