"""An audit that can be disturbed: how it is started and killed, and what must be true of its store at any moment."""

import contextlib
import io
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

import bandscope as bs
from bandscope.cli.main import main
from bandscope.cube.verify import verify

SPEC = "planted?per_class=18"  # 162 images
BLOCKS = 6  # of 32 images, but for the last
PROBES = (bs.LowPass((0, 3, 9, 27, 80)), bs.HighPass((3, 9, 27)), bs.BandPass(((3, 9), (9, 27))))
FEW = (bs.LowPass((3, 27)),)

# A new process that has imported everything: what is killed in the tests is forked from it.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "bandscope.api", "bandscope.cli.main", "bandscope.classifiers.checkpoint"])


def audit(out: Path, data: Any = SPEC, model: Any = "planted", **options: Any) -> None:
    bs.audit(model, data, out=out, **{"probes": PROBES, "batch_size": 8, "threads": 1, **options})


def start(function: Callable[..., None], *arguments: Any, said: Path | None = None, **options: Any) -> BaseProcess:
    """Call a function in a process of its own; what it prints goes to the file `said`."""
    process = FORKS.Process(target=_run, args=(function, arguments, options, said))
    process.start()
    return process


def _run(function: Callable[..., None], arguments: Any, options: Any, said: Path | None) -> None:
    with open(said or os.devnull, "w") as file:  # noqa: PTH123  (also the null device)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    function(*arguments, **options)


def finish(function: Callable[..., None], *arguments: Any, said: Path | None = None, **options: Any) -> int | None:
    """The exit code of a process that calls a function."""
    process = start(function, *arguments, said=said, **options)
    process.join(120)
    return process.exitcode


def bandscope(*arguments: object, cwd: Path) -> tuple[int, str]:
    """Exit code and all output of the command line, in this process."""
    said = io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([str(argument) for argument in arguments])
    return code, " ".join(said.getvalue().split())


def markers(store: Path) -> dict[int, tuple[int, str]]:
    """Who finished each block, and when."""
    held = (json.loads(file.read_text()) for file in sorted((store / ".blocks").glob("*.json")))
    return {marker["block"]: (marker["process"], marker["finished"]) for marker in held}


def wait_for(store: Path, blocks: int, alive: Callable[[], bool]) -> None:
    """Until so many blocks are finished, or the process is."""
    while len(list((store / ".blocks").glob("*.json"))) < blocks and alive():
        time.sleep(0.001)


def moment(seed: object, blocks: int, starting: float, pace: float) -> tuple[int, float]:
    """A random moment: so many seconds after so many blocks; 0 blocks: after the start, which takes `starting`."""
    chance = random.Random(f"moment {seed}")
    after = chance.randrange(blocks)
    return after, chance.uniform(0, pace if after else starting)


# ---- what must be true


def arrays_of(store: Path) -> dict[str, Any]:
    """Every array and coordinate of a store, by path."""
    with bs.open(store) as cube:
        return {
            f"{node.path}/{name}": variable.values
            for node in cube.subtree
            for name, variable in node.to_dataset(inherit=False).variables.items()
        }


def bits(values: Any) -> Any:
    """What distinguishes NaN from NaN and 0 from -0."""
    return values.tolist() if values.dtype.kind in "OTU" else (values.dtype, values.shape, values.tobytes())


def differing(store: Path, whole: Path) -> list[str]:
    """The arrays of a finished store that are not bit for bit those of another, and the chunk files that differ."""
    mine, right = arrays_of(store), arrays_of(whole)
    assert mine.keys() == right.keys()
    return [name for name in right if bits(mine[name]) != bits(right[name])] + _other_files(store, whole)


def _other_files(store: Path, whole: Path) -> list[str]:
    def files(path: Path) -> Mapping[str, bytes]:
        return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("c/**/*") if p.is_file()}

    mine, right = files(store), files(whole)
    return sorted(name for name in {*mine, *right} if mine.get(name) != right.get(name))


def check_readable(store: Path, whole: Path) -> int:
    """At any moment: nothing is damaged, and every image that counts has its final numbers; returns how many do."""
    if not store.exists():
        return 0
    for command in ("verify", "status"):
        code, said = bandscope(command, store.name, cwd=store.parent)
        assert code == 0, said
    assert {finding.severity for finding in verify(store)} <= {"unfinished", "note"}
    mine, right = arrays_of(store), arrays_of(whole)
    ok = mine["//status"] == "ok"
    assert set(mine["//status"]) <= {"ok", ""}
    for name, values in mine.items():
        if name.rpartition("/")[2].startswith(("probability", "margin", "top5", "out_of", "clean_")):
            assert bits(values[ok]) == bits(right[name][ok]), name
    return int(ok.sum())


def check_finished(store: Path, whole: Path) -> None:
    """As if nothing had happened."""
    assert [finding for finding in verify(store) if finding.severity != "note"] == []
    assert differing(store, whole) == []


# ---- several processes, as torchrun starts them

RANK = """
    import os, sys
    from pathlib import Path
    Path(sys.argv[1] + "." + os.environ["RANK"]).write_text(str(os.getpid()))
    sys.path.insert(0, {here!r})
    from disturbed import audit
    audit(Path(sys.argv[1]), shard=str(int(os.environ["RANK"]) + 1) + "/" + os.environ["WORLD_SIZE"])
"""


def launch(store: Path, *options: str) -> subprocess.Popen[bytes]:
    """Two ranks under torchrun; each writes its process number beside the store."""
    script = store.with_name("rank.py")
    script.write_text("\n".join(line.strip() for line in RANK.format(here=str(Path(__file__).parent)).splitlines()))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *options]
    silent = subprocess.DEVNULL
    return subprocess.Popen([*command, str(script), str(store)], stdout=silent, stderr=silent)


def rank(store: Path, number: int) -> int | None:
    """The process number of a rank; None before it runs."""
    file = store.with_name(f"{store.name}.{number}")
    text = file.read_text() if file.exists() else ""
    return int(text) if text else None


def alive(process: int) -> bool:
    """Whether a process that is not our child still runs."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(true: Callable[[], bool], seconds: float = 120) -> None:
    """Poll."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.01)


def ordinary(cases: Sequence[Any], count: int) -> list[Any]:
    """Parameters of which all but the first are slow tests."""
    others = [case if isinstance(case, tuple) else (case,) for case in cases[count:]]
    return [*cases[:count], *(pytest.param(*case, marks=pytest.mark.slow) for case in others)]
