"""Progress bars: what is done, in fields of its own, the time it took and the time left."""

from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


class Left(TimeRemainingColumn):
    """The time left, and the word; nothing where there is no total yet, or when all is done."""

    def render(self, task: Task) -> Text:
        """What stands at the end of the line."""
        shown = super().render(task)
        return Text() if task.finished or not shown else shown.append(" left")


class Bar:
    """A bar of one task, with fields that are filled in as it goes.

    Args:
        console: where it is shown.
        width: of the bar itself, in columns.
        fields: their names, in order, each with its style.
    """

    def __init__(self, console: Console, width: int, **fields: str) -> None:
        columns = [TextColumn(f"[{style}]{{task.fields[{name}]}}") for name, style in fields.items()]
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=width),
            *columns,
            TimeElapsedColumn(),
            Left(),
            console=console,
        )
        empty: dict[str, Any] = dict.fromkeys(fields, "")
        self.task = self.progress.add_task("Loading", total=None, **empty)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        begun = self.progress.tasks[0].total is not None
        self.progress.update(self.task, visible=begun)
        self.progress.stop()
