"""Timing that survives a machine whose speed drifts: candidates take turns, ratios are taken turn by turn."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Times = dict[str, list[float]]


def take_turns(candidates: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu") -> Times:
    """Seconds of each candidate in each round, after two rounds to warm up; the order turns round every time."""
    times: Times = {name: [] for name in candidates}
    for number in range(rounds + 2):
        order = list(candidates)[:: 1 if number % 2 else -1]
        for name in order:
            seconds = timed(candidates[name], device)
            if number >= 2:
                times[name].append(seconds)
    return times


def timed(candidate: Callable[[], object], device: str) -> float:
    """Seconds of one call, the device's queue emptied before and after."""
    wait(device)
    start = time.perf_counter()
    candidate()
    wait(device)
    return time.perf_counter() - start


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def ratio(times: Times, name: str, reference: str) -> float:
    """Median over rounds of one candidate's time over another's."""
    return statistics.median(a / b for a, b in zip(times[name], times[reference], strict=True))


def milliseconds(times: Times, name: str) -> float:
    return 1e3 * statistics.median(times[name])


def describe(device: str) -> str:
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    return f"torch {torch.__version__}, {device}, {where}"
