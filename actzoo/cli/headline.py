"""The state of a run in one line: the number of finished cells and the time left."""

from __future__ import annotations

from actzoo.sweep.status import STATES, Status


def headline(status: Status) -> str:
    """Return text such as `12 of 36 cells done, 2 running, 1 failed; about 4 min left`."""
    counts = {state: len(status.of(state)) for state in STATES if state not in ("done", "waiting")}
    parts = [f"{len(status.of('done'))} of {len(status.cells)} cells done"]
    parts += [f"{count} {state}" for state, count in counts.items() if count]
    left = None if status.ended else status.seconds_left()
    return ", ".join(parts) + (f"; about {duration(left)} left" if left is not None else "")


def duration(seconds: float) -> str:
    """Return a duration as text: `40 s`, `5 min`, `2 h 10 min`, `3 d 4 h`."""
    whole = max(1, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
