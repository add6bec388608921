"""A recording, played: the same screens, with a clock of its own, and nothing to act on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from console.app import ConsoleApp
from console.controls.actions import Mode
from console.messages import Examine
from console.recording.player import Player, index_at, next_at, previous_at
from console.recording.reading import Recording, RecordingError
from console.screens.room import Keys
from console.source import read_runbooks
from console.view.replay import replay_line, wall_ms
from console.view.rooms import Where
from console.widgets.lines import Lines
from console.widgets.tabs import Tabs
from coord.clock import Clock

FRAME_S = 0.1
"""How often the picture is drawn while it is played, in seconds."""

TOLD_S = 15.0
"""How long it is told that something cannot be done, in seconds."""

WHY = "this is a replay: what it shows is over"


class _Tape:
    """The clock of the screens: it is as late as the tape is.

    clock: of who looks.
    """

    def __init__(self, recording: Recording, clock: Clock) -> None:
        self.frames = recording.frames
        self.player = Player.of(recording.frames)
        self._clock = clock

    def looked(self) -> float:
        """How late it is for who looks, in monotonic seconds."""
        return self._clock.now()

    def now(self) -> float:
        """See `Clock`."""
        return self.player.at(self.looked())

    def wall_ms(self) -> int:
        """See `Clock`."""
        return wall_ms(self.frames, self.now())


class ReplayApp(ConsoleApp):
    """Plays a recording.

    clock: of who looks. theme: as `ConsoleApp` has it.

    Raises:
        ValueError: there is no such theme.
        RecordingError: its first frame makes no sense.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "Play/stop", priority=True),
        Binding("full_stop", "step(1)", "Next change", key_display=".", show=False),
        Binding("comma", "step(-1)", "Change before", key_display=",", show=False),
        Binding("right_square_bracket", "leader(1)", "Next leader", key_display="]"),
        Binding("left_square_bracket", "leader(-1)", "Leader before", key_display="["),
        Binding("plus,equals_sign", "speed(1)", "Faster", key_display="+"),
        Binding("minus", "speed(-1)", "Slower", key_display="-"),
        Binding("greater_than_sign", "skip(60)", "A minute on", show=False),
        Binding("less_than_sign", "skip(-60)", "A minute back", show=False),
    ]
    KEYS: ClassVar[Keys] = (
        ("space", "play, or stand still; at the end, begin again"),
        (", .", "the change before, the next change"),
        ("[ ]", "the change of leader before, the next one"),
        ("- +", "slower, faster"),
        ("< >", "a minute back, a minute on"),
    )

    def __init__(self, recording: Recording, *, clock: Clock, theme: str | None = None) -> None:
        self._recording = recording
        self._tape = _Tape(recording, clock)
        self._runbooks = read_runbooks()
        self._shown = 0
        first = replace(recording.snapshot(0), runbooks=self._runbooks)
        super().__init__(None, clock=self._tape, snapshot=first, theme=theme, read_only=True)
        self.mode = Mode(read_only=WHY)

    @property
    def word(self) -> str:
        """See `ConsoleApp`."""
        return f"REPLAY, {self.mode.word}"

    def on_mount(self) -> None:
        """Begin to draw."""
        self.set_interval(FRAME_S, self._play_on)
        self.call_after_refresh(self._with_line)

    async def go_to(self, where: Where) -> None:
        """See `ConsoleApp`."""
        await super().go_to(where)
        self.call_after_refresh(self._with_line)

    async def _with_line(self) -> None:
        """Every screen has the line of the tape, below its head."""
        room = self.room
        if not room.query("#replay"):
            await room.mount(Lines(id="replay"), after=room.query_one(Tabs))
        self._draw_line()

    # --- playing ---

    def _play_on(self) -> None:
        if self._tape.player.playing and self.is_running:
            self._show_present()

    def _show_present(self) -> None:
        """Show what was known where the tape is."""
        index = index_at(self._tape.frames, self._tape.now())
        if index != self._shown:
            try:
                found = self._recording.snapshot(index)
            except RecordingError as error:
                self.notify(str(error), severity="error", markup=False)
                self._tape.player = self._tape.player.moved(self._tape.now(), self._tape.looked())
                return
            self._shown = index
            self.snapshot = replace(found, runbooks=self._runbooks)
            self.room.show(self.snapshot)
        else:
            self.room.tick()
        self._draw_line()

    def _draw_line(self) -> None:
        for each in self.room.query("#replay").results(Lines):
            width, torn = each.content_size.width, self._recording.torn
            frames, player = self._tape.frames, self._tape.player
            each.show([replay_line(frames, player, self._tape.looked(), width, torn=torn)])

    def on_resize(self) -> None:
        """The line has another length."""
        self.call_after_refresh(self._draw_line)

    # --- keys ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Who types means what is typed."""
        if action == "play":
            return not isinstance(self.focused, Input)
        return super().check_action(action, parameters)

    def _set(self, player: Player) -> None:
        self._tape.player = player
        self._show_present()

    def action_play(self) -> None:
        """Play, or stand still."""
        self._set(self._tape.player.toggled(self._tape.looked()))

    def action_speed(self, by: int) -> None:
        """Faster, or slower."""
        player, now = self._tape.player, self._tape.looked()
        self._set(player.faster(now) if by > 0 else player.slower(now))

    def action_skip(self, seconds: int) -> None:
        """On, or back."""
        self._go(self._tape.now() + seconds)

    def action_step(self, by: int) -> None:
        """To the next change, or the one before."""
        self._jump(by, leader=False)

    def action_leader(self, by: int) -> None:
        """To the next change of leader, or the one before."""
        self._jump(by, leader=True)

    def _jump(self, by: int, *, leader: bool) -> None:
        find = next_at if by > 0 else previous_at
        found = find(self._tape.frames, self._tape.now(), leader=leader)
        if found is None:
            what = "change of leader" if leader else "change"
            where = "after this" if by > 0 else "before this"
            self.notify(f"There is no {what} {where}", timeout=3)
        else:
            self._go(found)

    def _go(self, to: float) -> None:
        self._set(self._tape.player.moved(to, self._tape.looked()))

    # --- what there is not ---

    def on_examine(self, message: Examine) -> None:
        """The doctor cannot look at what is over."""
        message.prevent_default()
        self.notify(f"The doctor is not called: {WHY}", timeout=TOLD_S)

    def action_elections(self) -> None:
        """There is only the one that was recorded."""
        self.notify(f"There is no other election here: {WHY}", timeout=TOLD_S)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the keys of the tape do, too."""
        yield from super().get_system_commands(screen)
        if screen is self.room:
            does: tuple[tuple[str, Callable[[], None]], ...] = (
                ("Play or stop", self.action_play),
                ("Next change of leader", lambda: self.action_leader(1)),
                ("Change of leader before", lambda: self.action_leader(-1)),
                ("Next change", lambda: self.action_step(1)),
                ("Change before", lambda: self.action_step(-1)),
                ("Faster", lambda: self.action_speed(1)),
                ("Slower", lambda: self.action_speed(-1)),
            )
            for title, do in does:
                yield SystemCommand(f"Replay: {title}", "The recording", do)
