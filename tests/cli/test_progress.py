"""The progress bar of `bandscope audit` in words."""

import io
import re

from rich.console import Console

from bandscope.cli.audit import _Bar


def shown(bar: _Bar) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(bar.progress.make_tasks_table(bar.progress.tasks))
    return console.file.getvalue().strip()  # type: ignore[attr-defined]


def test_time_left_is_shown_while_there_is_some():
    bar = _Bar(Console(file=io.StringIO()))
    assert "left" not in shown(bar)  # not known while the model is loaded
    bar.update(0, 100, 20)
    bar.update(40, 100, 20)
    assert re.search(r"8/20 images .*0:00:0\d (\S+) left$", shown(bar))
    bar.update(60, 100, 20)
    assert re.search(r"20/20 images .*0:00:0\d$", shown(bar))
