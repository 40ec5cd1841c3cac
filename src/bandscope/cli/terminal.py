"""Where commands speak, and how they group their options."""

from rich.console import Console

# No emoji: in "python:models:apple" a spec is no fruit.
out = Console(highlight=False, soft_wrap=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)
INTERRUPTED = 130  # 128 + SIGINT, as shells count

WHAT, HOW, WHERE, MACHINE = "What is measured", "Preprocessing and labels", "Results", "Machine"
STATISTICS = "Intervals and tests"
