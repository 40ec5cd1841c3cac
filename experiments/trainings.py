"""What the experiments with trained networks share: a plan from a TOML file, one training with its test, tables.

A plan names images, networks, seeds and what differs from a recipe; `{data}` in its specs is the folder of `--data`.
Every training and every test can be stopped and goes on where it was.
"""

import argparse
import json
import platform
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from pages import Row, interval, markdown
from scipy import stats

import bandscope as bs
from bandscope.datasets import ImageSource, select
from bandscope.errors import InputError
from bandscope.probes import Probe

EVERYTHING = bs.LowPass([1e4])  # passes every frequency of these images: a condition that costs nothing
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Plan:
    """Title, specs of training and test images, networks of timm, seeds, a recipe and the fields changed in it.

    train_per_class, test_per_class: a seeded sample, for small machines. options: of every network.
    table1: {"network", "radii", "of_side"}, radii as at `of_side` pixels. audit: {"networks", "radii"}.
    """

    title: str
    train: str
    test: str
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    recipe: str = "zhang2023-small"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    train_per_class: int | None = None
    test_per_class: int | None = None
    table1: Mapping[str, Any] = field(default_factory=dict)
    audit: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, data: str) -> "Plan":
        """From a file.

        Raises:
            InputError: it has a field that no plan has, or lacks one.
        """
        given = tomllib.loads(path.read_text())
        known = {one.name for one in fields(cls)}
        if unknown := sorted(given.keys() - known):
            raise InputError(f"{path} has {', '.join(unknown)}; a plan has {', '.join(sorted(known))}.")
        if missing := sorted({"title", "train", "test", "networks", "seeds"} - given.keys()):
            raise InputError(f"{path} lacks {', '.join(missing)}.")
        settled = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        return cls(**settled | {part: settled[part].replace("{data}", data) for part in ("train", "test")})

    def spec(self, network: str) -> str:
        """For bandscope."""
        options = "&".join(f"{name}={str(value).lower()}" for name, value in self.options.items())
        return f"timm:{network}" + (f"?{options}" if options else "")

    def images(self, part: str) -> ImageSource:
        """The images of "train" or "test"."""
        per_class: int | None = getattr(self, f"{part}_per_class")
        return select(bs.load_source(getattr(self, part)), per_class=per_class)


@dataclass(frozen=True)
class Machine:
    """Where it runs."""

    device: str | None
    precision: str
    compile: bool
    backend: str

    @property
    def words(self) -> str:
        """For a table's note."""
        name = torch.cuda.get_device_name() if self.device != "cpu" and torch.cuda.is_available() else ""
        where = name or f"CPU ({platform.machine()}, {torch.get_num_threads()} thread(s))"
        return f"{where}, {self.precision}{', compiled' if self.compile else ''}"


@dataclass(frozen=True)
class Cell:
    """One training and what it cost. lowpass: its radius in cycles/image, None for whole images."""

    network: str
    seed: int
    lowpass: float | None
    folder: str
    images: int
    epochs: int
    parameters: int
    seconds: float
    device: str

    @property
    def weights(self) -> str:
        """Of the last epoch: no image of the test has chosen it."""
        return str(Path(self.folder) / "last.safetensors")


def trained(plan: Plan, network: str, seed: int, out: Path, machine: Machine, lowpass: float | None = None) -> Cell:
    """Train one network; what is finished is only read."""
    folder = out / f"{network}-seed{seed}{'' if lowpass is None else f'-lowpass{lowpass:.3g}'}"
    record = folder / "cell.json"
    if record.is_file():
        return Cell(**json.loads(record.read_text()))
    print(f"{folder.name} ...", flush=True)
    source = plan.images("train")
    run = bs.train(
        plan.spec(network),
        source,
        val=None,
        out=folder,
        recipe=plan.recipe,
        filters=[] if lowpass is None else bs.LowPass([lowpass]),
        seed=seed,
        device=machine.device,
        precision=machine.precision,
        compile=machine.compile,
        **plan.overrides,
    )
    history, parameters = run.history, json.loads((folder / "run.json").read_text())["parameters"]
    cell = Cell(
        network,
        seed,
        lowpass,
        str(folder),
        len(source),
        len(history),
        parameters,
        float(history["seconds"].sum()),
        machine.words,
    )
    record.write_text(json.dumps(asdict(cell)))
    return cell


def audited(
    plan: Plan, cell: Cell, machine: Machine, probes: Sequence[Probe] = (EVERYTHING,), name: str = "clean"
) -> xr.DataTree:
    """The audit of a trained network on the test images."""
    return bs.audit(
        cell.weights,
        plan.images("test"),
        probes=probes,
        out=Path(cell.folder) / f"{name}.zarr",
        batch_size=128,
        device=machine.device,
        backend=machine.backend,
    )


def accuracy(cubes: Sequence[xr.DataTree], radius: float | None = None) -> str:
    """Percent, without a filter or under one low-pass; one cube a seed.

    The interval is Wilson's over the images of one seed, or Student's over several seeds.
    """
    rows = [_row(bs.clean(cube) if radius is None else bs.curves(cube), radius) for cube in cubes]
    if len(rows) > 1:
        return _student([100 * row["accuracy"] for row in rows])
    return interval(rows[0], "accuracy", "ci", scale=100, digits=2)


def difference(ours: Sequence[xr.DataTree], theirs: Sequence[xr.DataTree], radius: float | None = None) -> str:
    """Points of `ours` minus `theirs`, paired over the images of one seed, or over several seeds."""
    tables = [bs.differences({"theirs": b, "ours": a}) for a, b in zip(ours, theirs, strict=True)]
    rows = [_row(table, radius) for table in tables]
    if len(rows) > 1:
        return _student([100 * row["difference"] for row in rows], sign="+")
    value, *ends = (100 * rows[0][name] for name in ("difference", "difference_ci_low", "difference_ci_high"))
    return f"{value:+.2f} [{', '.join(f'{end:+.2f}' for end in ends)}]"


def what_was_run(plan: Plan, cells: Iterable[Cell]) -> str:
    """A line of prose under a table."""
    cells = list(cells)
    devices = "; ".join(sorted({cell.device for cell in cells}))
    seconds = sum(cell.seconds for cell in cells)
    changed = ", ".join(f"{name} {value}" for name, value in plan.overrides.items())
    return (
        f"{plan.title}: {cells[0].images:,} training images, {cells[0].epochs} epochs, recipe {plan.recipe}"
        f"{f' ({changed})' if changed else ''}; {len(plan.images('test')):,} test images, looked at once, after the "
        f"last epoch; seeds {', '.join(map(str, plan.seeds))}; {len(cells)} trainings, {seconds / 60:,.1f} minutes "
        f"on {devices}. Brackets: 95 %, "
        f"{'Student over seeds' if len(plan.seeds) > 1 else 'over test images, of the one seed'}."
    )


def begin(description: str | None) -> tuple[Plan, Path, Machine, Path | None]:
    """The command line of all three experiments."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="a file of experiments/configs")
    parser.add_argument("--data", required=True, help="the folder that {data} stands for in the plan")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="trainings go into OUT/PLAN")
    parser.add_argument("--device", help="cpu, cuda, ...; CUDA where there is one")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--backend", default="eager", help="of the audits: eager, auto, openvino, ...")
    parser.add_argument("--figures", type=Path, help="the folder of figures, where the experiment draws any")
    parser.add_argument("--threads", type=int, help="of PyTorch on a CPU")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    plan = Plan.read(options.plan, options.data)
    out: Path = options.out / options.plan.stem
    machine = Machine(options.device, options.precision, options.compile, options.backend)
    return plan, out, machine, options.figures


def written(out: Path, name: str, title: str, rows: Sequence[Row], note: str) -> None:
    """A table and what was run, printed and kept as Markdown."""
    text = f"#### {title}\n\n{markdown(rows)}\n\n{note}\n"
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text)


def _row(table: pd.DataFrame, radius: float | None) -> dict[str, Any]:
    """Of the whole images, or of the low-pass at a radius."""
    if radius is not None:
        table = table[(table["probe"] == "low_pass") & np.isclose(table["radius"], radius)]
    elif "probe" in table:
        table = table[table["probe"] == "clean"]
    (row,) = table.to_dict("records")
    return row


def _student(values: Sequence[float], sign: str = "") -> str:
    mean = float(np.mean(values))
    error = stats.t.isf((1 - CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    return f"{mean:{sign}.2f} [{mean - error:{sign}.2f}, {mean + error:{sign}.2f}]"
