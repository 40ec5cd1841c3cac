"""`bandscope.audit` and `bandscope.open`: from a classifier and images to a cube, in one call."""

import os
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int

from bandscope import cube
from bandscope.classifiers import Classifier, load_classifier, probe_outputs
from bandscope.conventions import Convention
from bandscope.cube.lock import writing
from bandscope.cube.schema import CubeHeader, ProbeAxes, ScaleAxis
from bandscope.cube.store import Store, extending_path, is_store
from bandscope.datasets import ImageSource, load_source, match_labels, select
from bandscope.datasets.boxes import Boxes, load_boxes
from bandscope.datasets.subset import Subset
from bandscope.engine import run as engine
from bandscope.engine.conditions import Condition, Layout, missing_conditions
from bandscope.engine.plan import Plan, Request, adopt_plan, resolve_plan
from bandscope.engine.scales import NO_SCALES, UNITS, Scales
from bandscope.engine.share import ALONE, parse_share
from bandscope.errors import DataError, InputError, StoreError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess
from bandscope.probes import HighPass, LowPass, Probe, ResolvedProbe, Zoom, default_radii, merged, resolve

DEFAULT_WORKERS = 4
MAX_SIDE = 16_384  # pixels; one such image takes 3 GB
SETTINGS = ("model", "data", "preprocess", "convention", "probes", "plan")  # what a store must say of itself


def audit(
    model: str | torch.nn.Module | Callable[..., Any] | Classifier = "planted",
    data: str | ImageSource = "planted",
    *,
    out: str | os.PathLike[str] | None = None,
    probes: Sequence[Probe] | Callable[[tuple[int, int]], Sequence[Probe]] | None = None,
    zoom: Zoom | Iterable[float] | None = None,
    convention: str | Convention = "bandscope",
    weights: str | os.PathLike[str] | None = None,
    preprocess: Preprocess | None = None,
    overrides: Mapping[str, Any] | None = None,
    classes: Sequence[ClassLabel] | None = None,
    labels: str | os.PathLike[str] | None = None,
    match: str = "auto",
    limit: int | None = None,
    per_class: int | None = None,
    seed: int = 0,
    batch_size: int | str | None = None,
    threads: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    workers: int = DEFAULT_WORKERS,
    overwrite: bool = False,
    extend: bool = False,
    strict: bool = False,
    shard: str | None = None,
    progress: engine.Progress | None = None,
) -> xr.DataTree:
    """Measure how a classifier's answers change as frequencies are taken away from its images.

    Every image is decoded and transformed once; each condition costs one forward pass. With `out` the run can be
    killed at any moment: the same call goes on where it stopped, and ends bit-identical to an undisturbed run.

    Args:
        model: a spec ("timm:resnet50", "torchvision:resnet50", "onnx:FILE", "python:package.module:factory",
            a .safetensors path, "planted"), an `nn.Module`, or a callable from normalised batches to logits.
        data: a spec ("folder:DIR", "parquet:GLOB", "torchvision:NAME?root=DIR", "planted") or an `ImageSource`.
        out: the store to make or to go on with; without it the cube is kept in memory.
        probes: what to measure; by default low-pass and high-pass on about 35 radii up to the corner of the
            spectrum. A function of the crop's (H, W) may give them.
        zoom: scales at which every image is looked at under every probe: zoom factors, a `Zoom`, or an `ObjectSize`.
        convention: a preset ("bandscope", "zhang2023", "gavrikov2024") or a `Convention`.
        weights: a file of weights (.safetensors, or a .pt that holds tensors alone) in place of the model's own.
        preprocess: from source pixels to the network's tensor, in place of what the model's metadata says.
        overrides: single fields of the preprocessing, such as {"mean": (0.5, 0.5, 0.5)}.
        classes: names of the model's outputs, where its metadata lacks them.
        labels: a CSV from the data's classes to the model's outputs.
        match: how data classes find outputs: "auto", "wnid", "name" or "index".
        limit: audit a seeded random sample of that many images.
        per_class: audit a seeded random sample of that many images of each class.
        seed: of the samples.
        batch_size: images a forward pass (32); "auto" measures once and freezes what is fastest.
        threads: of the classifier on CPU.
        device: "cpu", "cuda", "cuda:1", ...; by default CUDA where there is one.
        precision: of the classifier, "fp32" or "bf16"; filters always compute in float32.
        workers: threads that decode images.
        overwrite: start again where `out` exists.
        extend: add new radii, bands or zooms to `out`, computing only those.
        strict: stop at the first image that cannot be decoded or gives non-finite outputs, instead of recording it
            in `status`; a store that has recorded one is refused.
        shard: "2/8" computes every eighth block of `out`, from the second on; eight such processes, in any order, on
            machines that share a file system, make the store that one would make, bit for bit.
        progress: called with (forward passes done since the last call, forward passes in all, images in all); the
            first call tells how many passes the store already holds. Of a shard these are its own.

    Returns:
        The cube, as an `xarray.DataTree`: see `bandscope.cube`.

    Raises:
        InputError, ModelError, DataError, StoreError: before any work where possible; the message says what to do.
    """
    if overwrite and extend:
        raise InputError(
            "overwrite and extend exclude each other: one drops the store's results, the other keeps them."
        )
    if not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers={workers!r} is not possible; give a number >= 1.")
    share = ALONE if shard is None else parse_share(shard)
    if not share.alone and (overwrite or extend or out is None):
        raise InputError(f"The shard {shard} needs a store (out), and neither overwrite nor extend: do those alone.")
    request = Request(batch_size, threads, device, precision)
    chosen = convention if isinstance(convention, Convention) else Convention.named(convention)
    classifier = _classifier(model, weights, preprocess, overrides, classes)
    _check_size(classifier.preprocess)
    source = select(load_source(data), limit=limit, per_class=per_class, seed=seed)
    wanted = resolve(_probes(probes, classifier.preprocess.size), classifier.preprocess.size)
    outputs = probe_outputs(classifier)
    own_labels = _own_labels(source)
    label_of = match_labels(source.classes, classifier.classes, outputs, labels_csv=labels, by=match)
    layout = Layout(wanted, chosen, _scales(zoom, source, classifier.preprocess))
    subject = _Subject(classifier, source, label_of[own_labels], outputs, layout, request)
    settings = engine.Settings(workers, strict, progress, share)
    if out is None:
        return _in_memory(subject, settings)
    path = Path(out)
    if not path.name:  # "", "." or "/"
        raise StoreError(f"{path} is a folder, not a store; give --out a name of its own, such as audit.zarr.")
    path = path.resolve() if path.is_symlink() else path  # what is replaced is the store, not the link
    engine.recover(path)
    if overwrite and path.exists():
        _check_ours(path)
        with writing(path, shared=False):  # not while another run is at it
            pass
    if not overwrite and path.exists():
        _resume(subject, path, extend, settings)
    else:
        _begin(subject, path, overwrite, settings)
    return cube.open(path)


@dataclass(frozen=True)
class _Subject:
    """An audit's parts, before its settings are frozen."""

    classifier: Classifier
    source: ImageSource
    labels: Int[np.ndarray, " images"]
    outputs: int
    layout: Layout
    request: Request

    def job(self, plan: Plan, layout: Layout) -> engine.Job:
        return engine.Job(self.classifier, self.source, self.labels, layout, plan)

    def identity(self) -> dict[str, Any]:
        """What must agree before results may share a store."""
        return {
            "model": {**self.classifier.provenance, "spec": self.classifier.spec, "outputs": self.outputs},
            "data": {"spec": self.source.spec, "images": len(self.source), "fingerprint": self.source.fingerprint()},
            "preprocess": self.classifier.preprocess.to_json(),
            "convention": self.layout.convention.to_json(),
            "zoom": self.layout.scales.identity() if self.layout.scales else _fixed(NO_SCALES),
        }

    def header(self, plan: Plan, layout: Layout) -> CubeHeader:
        scales = layout.scales
        attributes = {
            **self.identity(),
            "zoom": scales.to_json() if scales else None,
            "probes": [probe.to_json() for probe in layout.probes],
            "plan": plan.to_json(),
            "environment": _environment(),
            "command": shlex.join([Path(sys.argv[0]).name.replace("__main__.py", "bandscope"), *sys.argv[1:]]),
        }
        names = self.classifier.classes or tuple(ClassLabel(str(i)) for i in range(self.outputs))
        axes = tuple(ProbeAxes(p.name, p.kind, p.family, p.dimension, p.coordinates()) for p in layout.probes)
        scale = ScaleAxis(scales.axis, scales.values, UNITS[scales.axis]) if scales else None
        return CubeHeader(self.labels, self.source.paths, names, axes, attributes, scale)


def _classifier(
    model: Any,
    weights: str | os.PathLike[str] | None,
    preprocess: Preprocess | None,
    overrides: Mapping[str, Any] | None,
    classes: Sequence[ClassLabel] | None,
) -> Classifier:
    if isinstance(model, Classifier) and not isinstance(model, torch.nn.Module):
        given = {"weights": weights, "preprocess": preprocess, "overrides": overrides, "classes": classes}
        if refused := [name for name, value in given.items() if value is not None]:
            raise InputError(
                f"{', '.join(refused)} cannot be changed on a finished Classifier ({model.spec}); "
                "give them to load_classifier."
            )
        return model
    path = None if weights is None else Path(weights)
    return load_classifier(model, weights=path, preprocess=preprocess, overrides=overrides, classes=classes)


def _check_size(preprocess: Preprocess, zoom: float = 1.0) -> None:
    """Refuse what no memory holds, such as a side of 224000 pixels, a crop_pct of 0.001 or a zoom of 1000."""
    resize = preprocess.resize if isinstance(preprocess.resize, tuple) else (preprocess.resize or 0,)
    if (side := max(*preprocess.size, *(zoom * side for side in resize))) > MAX_SIDE:
        raise InputError(
            f"The preprocessing asks for images of {side:.0f} pixels a side; at most {MAX_SIDE} are possible "
            "(input_size, crop_pct and zoom decide)."
        )


def _own_labels(source: ImageSource) -> Int[np.ndarray, " images"]:
    """The source's labels; a custom source may have none, or such as are not places in its classes."""
    labels = np.asarray(source.labels)
    if not len(source):
        raise DataError(f"{source.spec} holds no images; at least one is needed.")
    if len(labels) != len(source):
        raise DataError(f"{source.spec} has {len(source)} images but {len(labels)} labels.")
    if outside := sorted({*labels.tolist()} - {*range(len(source.classes))}):
        raise DataError(
            f"{source.spec} has the label {outside[0]}, but its classes end at {len(source.classes) - 1}."
        )
    return labels


def _probes(
    probes: Sequence[Probe] | Callable[[tuple[int, int]], Sequence[Probe]] | None, size: tuple[int, int]
) -> Sequence[Probe]:
    if probes is None:
        radii = default_radii(size)
        return LowPass(radii), HighPass(radii)
    chosen = probes(size) if callable(probes) else probes
    if not isinstance(chosen, Sequence) or not all(isinstance(probe, Probe) for probe in chosen):
        raise InputError(f"probes must be a list such as [LowPass([5, 10]), HighPass([5, 10])]; given: {chosen!r}.")
    return chosen


def _scales(zoom: Zoom | Iterable[float] | None, source: ImageSource, preprocess: Preprocess) -> Scales | None:
    """The scale dimension for these images; every box is found now."""
    if zoom is None:
        return None
    asked = zoom if isinstance(zoom, Zoom) else Zoom(zoom)
    values = tuple(asked.values)
    _check_size(preprocess, values[-1] if asked.axis == "zoom" else 1.0)
    if asked.boxes is None:
        return Scales(asked.axis, values, asked.outside)
    boxes = _boxes(asked.boxes, source)
    missing = np.flatnonzero(np.isnan(boxes.values).any(axis=1))
    if asked.axis == "object_size" and len(missing):
        raise DataError(
            f"{len(missing)} of {len(source)} images have no box in {boxes.spec}, such as "
            f"{source.paths[missing[0]]}: without one an object has no size. Use zoom, or leave these images out."
        )
    origin = {"spec": boxes.spec, "fingerprint": boxes.fingerprint}
    return Scales(asked.axis, values, asked.outside, boxes.values, origin)


def _boxes(path: str | os.PathLike[str], source: ImageSource) -> Boxes:
    """One box an image; a file may hold those of all images that the source is a sample of."""
    if isinstance(source, Subset):
        return _boxes(path, source.source).take(source.positions)
    return load_boxes(path, source.paths)


def _fixed(scales: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a store's scales must not change: all but the values."""
    return {key: value for key, value in (scales or NO_SCALES).items() if key != "values"}


def _in_memory(subject: _Subject, settings: engine.Settings) -> xr.DataTree:
    with tempfile.TemporaryDirectory(prefix="bandscope-") as folder:
        path = Path(folder) / "cube.zarr"
        _begin(subject, path, False, settings)
        with cube.open(path) as opened:
            return opened.load()


def _begin(subject: _Subject, path: Path, overwrite: bool, settings: engine.Settings) -> None:
    """Make a new store, in the place of an old one only if that is wanted, and fill it."""
    plan = resolve_plan(subject.request, len(subject.source), subject.classifier)
    try:
        store = Store.create(path, subject.header(plan, subject.layout), plan.block_size, replace=overwrite)
    except StoreError:
        if overwrite or not is_store(path):
            raise
        _resume(subject, path, False, settings)  # another process was faster
        return
    with writing(path, shared=not settings.share.alone):
        engine.discard_extension(path)
        engine.run(subject.job(plan, subject.layout), store, settings)


def _resume(subject: _Subject, path: Path, extend: bool, settings: engine.Settings) -> None:
    """Go on with a store, once it is known to be of the same subject."""
    with cube.open(path):
        store = Store(path)
    if differing := _differences(subject, store):
        raise StoreError(
            f"{path} was made with another configuration:\n"
            + "\n".join(f"  {line}" for line in differing)
            + "\nChoose another --out, or start again with --overwrite."
        )
    plan = adopt_plan(subject.request, store.attributes["plan"], len(subject.source), subject.classifier)
    with writing(path, shared=not settings.share.alone):
        _go_on(subject, plan, store, extend, settings)


def _go_on(subject: _Subject, plan: Plan, store: Store, extend: bool, settings: engine.Settings) -> None:
    stored = _stored_layout(subject, store)
    union = replace(
        stored,
        probes=merged(stored.probes, subject.layout.probes),
        scales=_merged(stored.scales, subject.layout.scales),
    )
    if missing := missing_conditions(stored, union):
        if not extend:
            raise StoreError(
                f"{store.path} holds other conditions: {_listed(union, missing)} are new. Add them with --extend, "
                "start again with --overwrite, or choose another --out."
            )
    else:  # everything asked is in the store, or will be
        engine.run(subject.job(plan, stored), store, settings)
        return
    growing = extending_path(store.path)
    if not (growing.exists() and _goes_on(subject, Store(growing), union, plan)):
        Store.create(growing, subject.header(plan, union), plan.block_size, replace=True)
    engine.extend(subject.job(plan, union), store, stored, Store(growing), settings)


def _stored_layout(subject: _Subject, store: Store) -> Layout:
    """The store's conditions; its scales are cut and surrounded as the subject's, or would have been refused."""
    attributes, asked = store.attributes, subject.layout.scales
    probes = tuple(ResolvedProbe.from_json(fields, subject.layout.probes[0].size) for fields in attributes["probes"])
    if not attributes.get("zoom"):
        return replace(subject.layout, probes=probes, scales=None)
    values = tuple(map(float, attributes["zoom"]["values"]))
    return replace(subject.layout, probes=probes, scales=replace(asked or Scales("zoom", values), values=values))


def _merged(stored: Scales | None, asked: Scales | None) -> Scales | None:
    """The union of the scales; a store without any is one of zoom 1."""
    if asked is None or stored is None:
        return stored if asked is None else replace(asked, values=tuple(sorted({1.0, *asked.values})))
    return replace(asked, values=tuple(sorted({*stored.values, *asked.values})))


def _goes_on(subject: _Subject, growing: Store, union: Layout, plan: Plan) -> bool:
    """Whether an interrupted extension was the same one: the store it belonged to may have been replaced since."""
    header = subject.header(plan, union).attributes
    same = all(growing.attributes.get(key) == header[key] for key in ("probes", "plan", "zoom"))
    return same and not _differences(subject, growing)


def _differences(subject: _Subject, store: Store) -> list[str]:
    """What sets a store apart from the subject: model, data, labels, preprocessing or convention, a line each."""
    if missing := [name for name in SETTINGS if name not in store.attributes]:
        raise StoreError(
            f"{store.path} lacks its settings ({', '.join(missing)}): it is damaged. "
            "Choose another --out, or start again with --overwrite."
        )
    identity = subject.identity()
    held = {**store.attributes, "zoom": _fixed(store.attributes.get("zoom"))}
    asked, stored = _flat(identity), _flat({key: held[key] for key in identity})
    # Where a file lies, and which library version read it, do not change what it is.
    ignored = {"model.spec", "model.source", "data.spec"} if asked.get("model.weights_sha256") else {"data.spec"}
    keys = [k for k in sorted({*asked, *stored}) if k not in ignored and not k.startswith("model.versions")]
    differing = [
        f"{key}: {_shown(asked.get(key))} asked, {_shown(stored.get(key))} stored"
        for key in keys
        if asked.get(key) != stored.get(key)
    ]
    return differing or _other_labels(subject, store.labels)


def _other_labels(subject: _Subject, stored: Int[np.ndarray, " images"]) -> list[str]:
    """A line where the same images are held against other outputs: another --labels, --match or class order."""
    other = np.flatnonzero(subject.labels != stored)
    if not len(other):
        return []
    first = other[0]
    return [
        f"labels: {len(other)} of {len(stored)} images have another right output, such as "
        f"{subject.source.paths[first]}: {subject.labels[first]} asked, {stored[first]} stored"
    ]


def _shown(value: Any) -> str:
    """A value in a message; of a hash its beginning."""
    text = str(value)
    return f"{text[:12]}..." if re.fullmatch(r"[0-9a-f]{64}", text) else text


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


def _listed(layout: Layout, conditions: Sequence[Condition]) -> str:
    new = [layout.describe(condition) for condition in conditions]
    return ", ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")


def _check_ours(path: Path) -> None:
    """Before a store is replaced: nothing but a store of bandscope's may be deleted."""
    if not is_store(path):
        raise StoreError(f"{path} exists and is not a bandscope store; it was left alone. Choose another --out.")


def _environment() -> dict[str, str]:
    packages = ("bandscope", "torch", "torchvision", "timm", "numpy", "pillow", "xarray", "zarr")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: version(package) for package in packages},
    }
