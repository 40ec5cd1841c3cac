"""`bandscope audit --dry-run`: what an audit would cost, from what its parts take on this machine."""

from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from bandscope.engine.estimate import Estimate

DEVICES = (1, 2, 4, 8, 16)


def show(spec: str, found: Estimate, console: Console) -> None:
    """Images, conditions, forward passes, bytes, and the time on one and on several devices like this one."""
    plan, forward = found.plan, found.forward
    table = Table.grid(padding=(0, 2))
    rows = {
        "Model": spec,
        "Images": f"{found.images:,}",
        "Conditions": f"{found.conditions:,} forward passes of each image",
        "Passes": f"{found.passes:,}",
        "Store": f"{readable_bytes(found.stored)} before compression",
        "Forward": f"{forward.milliseconds:.2f} ms an image ({forward.name}, batch {plan.batch_size}, "
        f"{plan.threads} threads, {plan.device})",
        "Audit": f"{found.ratio:.2f} x its forward passes",
    }
    for name, text in rows.items():
        table.add_row(f"[bold]{name}[/]", text)
    console.print(table)
    console.print()
    console.print(_times(found, DEVICES))


def _times(found: Estimate, devices: Sequence[int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column("devices like this one", justify="right")
    table.add_column("time", justify="right")
    for count in devices:
        table.add_row(str(count), readable_time(found.seconds(count)))
    return table


def readable_bytes(count: float) -> str:
    """1.5 MB and the like, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def readable_time(seconds: float) -> str:
    """Hours, minutes and seconds; days where there are any."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))
