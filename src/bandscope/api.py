"""`bandscope.audit` and `bandscope.open`: from a classifier and images to a cube, in one call."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from bandscope import cube
from bandscope.classifiers import Classifier, load_classifier, probe_outputs
from bandscope.conventions import Convention
from bandscope.cube.place import Where
from bandscope.datasets import ImageSource, load_source, match_labels, select
from bandscope.datasets.boxes import Boxes, load_boxes
from bandscope.datasets.checked import checked_labels
from bandscope.datasets.subset import Subset
from bandscope.engine import run as engine
from bandscope.engine.conditions import Layout
from bandscope.engine.filling import fill, in_memory, store_place
from bandscope.engine.pilot import Pilot, coarse_radii
from bandscope.engine.plan import Request, usable_device
from bandscope.engine.scales import Scales
from bandscope.engine.share import ALONE, Share, parse_share
from bandscope.engine.subject import Subject
from bandscope.engine.together import fill_together
from bandscope.errors import DataError, InputError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess
from bandscope.probes import HighPass, LowPass, Probe, Zoom, default_radii, resolve

DEFAULT_WORKERS = 4
MAX_SIDE = 16_384  # pixels; one such image takes 3 GB


def audit(
    model: str | torch.nn.Module | Callable[..., Any] | Classifier = "planted",
    data: str | ImageSource = "planted",
    *,
    out: Where | None = None,
    storage_options: Mapping[str, Any] | None = None,
    probes: Sequence[Probe] | Callable[[tuple[int, int]], Sequence[Probe]] | None = None,
    adaptive: float | Pilot | None = None,
    zoom: Zoom | Iterable[float] | None = None,
    convention: str | Convention = "bandscope",
    weights: str | os.PathLike[str] | None = None,
    preprocess: Preprocess | None = None,
    overrides: Mapping[str, Any] | None = None,
    classes: Sequence[ClassLabel | str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    match: str = "auto",
    limit: int | None = None,
    per_class: int | None = None,
    seed: int = 0,
    batch_size: int | str | None = None,
    threads: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    backend: str | None = None,
    workers: int = DEFAULT_WORKERS,
    overwrite: bool = False,
    extend: bool = False,
    strict: bool = False,
    shard: str | None = None,
    progress: engine.Progress | None = None,
    watch: engine.Watch | None = None,
) -> xr.DataTree:
    """Measure how a classifier's answers change as frequencies are taken away from its images.

    Every image is decoded and transformed once; each condition costs one forward pass. With `out` the run can be
    killed at any moment: the same call goes on where it stopped, and ends bit-identical to an undisturbed run.

    Args:
        model: a spec ("timm:resnet50", "torchvision:resnet50", "hf:ID", "onnx:FILE", "export:FILE",
            "python:package.module:factory", a .safetensors path, "planted"), an `nn.Module`, or a callable from
            normalised batches to logits.
        data: a spec ("folder:DIR", "parquet:GLOB", "hf:NAME", "wds:SHARDS", "torchvision:NAME?root=DIR", "planted")
            or an `ImageSource`, such as an `ArraySource` of images in memory.
        out: the store to make or to go on with: a path, or a URL that fsspec knows, such as "s3://bucket/audit.zarr";
            without it the cube is kept in memory.
        storage_options: what fsspec takes for the file system of `out`, beside its own configuration.
        probes: what to measure; by default low-pass and high-pass on about 35 radii up to the corner of the
            spectrum. A function of the crop's (H, W) may give them.
        adaptive: a tolerance in accuracy, such as 0.02, or a `Pilot`: before the audit, 200 of its images find radii
            between those of the probes, or between every fourth of the default ones, until no two neighbours differ
            by more. The store records the pilot, and who goes on with it adopts its radii.
        zoom: scales at which every image is looked at under every probe: zoom factors, a `Zoom`, or an `ObjectSize`.
        convention: a preset ("bandscope", "zhang2023", "gavrikov2024") or a `Convention`.
        weights: a file of weights (.safetensors, or a .pt that holds tensors alone) in place of the model's own.
        preprocess: from source pixels to the network's tensor, in place of what the model's metadata says.
        overrides: single fields of the preprocessing, such as {"mean": (0.5, 0.5, 0.5)}.
        classes: names (or labels) of the model's outputs, where its metadata lacks them.
        labels: a CSV from the data's classes to the model's outputs.
        match: how data classes find outputs: "auto", "wnid", "name" or "index".
        limit: audit a seeded random sample of that many images.
        per_class: audit a seeded random sample of that many images of each class.
        seed: of the samples.
        batch_size: images a forward pass (32); "auto" measures once and freezes what is fastest.
        threads: of the classifier on CPU.
        device: "cpu", "cuda", "cuda:1", ...; by default CUDA where there is one.
        precision: of the classifier, "fp32" or "bf16"; filters always compute in float32. "auto": see `backend`.
        backend: what runs the classifier: "eager" PyTorch (the default), "compiled", "openvino", "onnxruntime", or
            "auto": the one that finishes first, with its setup, among those that are installed and give the same
            answers as eager fp32 on a sample of the audit; with precision="auto" the fastest of both. What was
            chosen, and why, is kept in the store.
        workers: threads that decode images.
        overwrite: start again where `out` exists.
        extend: add new radii, bands or zooms to `out`, computing only those.
        strict: stop at the first image that cannot be decoded or gives non-finite outputs, instead of recording it
            in `status`; a store that has recorded one is refused.
        shard: "2/8" computes every eighth block of `out`, from the second on; eight such processes, in any order, on
            machines that share a file system or an object store, make the store that one would make, bit for bit.
        progress: called with (forward passes done since the last call, forward passes in all, images in all); the
            first call tells how many passes the store already holds. Of a shard these are its own.
        watch: hears how the pilot goes.

    Returns:
        The cube, as an `xarray.DataTree`: see `bandscope.cube`.

    Raises:
        InputError, ModelError, DataError, StoreError: before any work where possible; the message says what to do.
    """
    if overwrite and extend:
        raise InputError(
            "overwrite and extend exclude each other: one drops the store's results, the other keeps them."
        )
    share = ALONE if shard is None else parse_share(shard)
    if not share.alone and (overwrite or extend or out is None):
        raise InputError(f"The shard {shard} needs a store (out), and neither overwrite nor extend: do those alone.")
    settings = _settings(workers, strict, progress, share, watch)
    place = None if out is None else store_place(out, storage_options, overwrite=overwrite)
    subject = subject_of(
        model,
        data,
        probes=probes,
        adaptive=adaptive,
        zoom=zoom,
        convention=convention,
        weights=weights,
        preprocess=preprocess,
        overrides=overrides,
        classes=classes,
        labels=labels,
        match=match,
        limit=limit,
        per_class=per_class,
        seed=seed,
        request=Request(batch_size, threads, device, precision, backend),
    )
    if place is None:
        return in_memory(subject, settings)
    fill(subject, place, settings, overwrite=overwrite, extend=extend)
    return cube.open(place)


def audit_together(
    models: Sequence[str | torch.nn.Module | Callable[..., Any] | Classifier],
    data: str | ImageSource,
    *,
    out: Sequence[Where],
    storage_options: Mapping[str, Any] | None = None,
    batch_size: int | str | None = None,
    threads: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    backend: str | None = None,
    workers: int = DEFAULT_WORKERS,
    overwrite: bool = False,
    strict: bool = False,
    shard: str | None = None,
    progress: engine.Progress | None = None,
    watch: engine.Watch | None = None,
    **what: Any,
) -> list[xr.DataTree]:
    """Audit several classifiers in one pass: every image is decoded and filtered once, for all of them.

    The stores are those that `audit` would make of each alone, bit for bit, and either goes on with the other's.

    Args:
        models: as `audit` takes one; their preprocessing must be the same. `weights=FILE` may stand in a spec.
        data: as of `audit`.
        out: a store for each model.
        storage_options: as of `audit`, for all stores.
        batch_size: as of `audit`, and so are the following.
        threads: of each classifier on CPU.
        device: of all.
        precision: of all.
        backend: of each; "auto" chooses for each by itself.
        workers: threads that decode images.
        overwrite: start all stores again.
        strict: stop at the first image that fails.
        shard: of every store.
        progress: counts the forward passes of all models.
        watch: hears how the pilot goes.
        **what: any other argument of `audit` that says what is measured (`probes`, `zoom`, `limit`, ...); a pilot
            (`adaptive`) looks at the first model, and its radii hold for all.

    Returns:
        A cube for each model.

    Raises:
        InputError: preprocessing differs, or there is not one path of its own for each model; and as `audit`.
    """
    places = [store_place(where, storage_options, overwrite=overwrite) for where in out]
    if not models or len(places) != len(models):
        raise InputError(
            f"{len(models)} models, {len(places)} stores: give at least one model, and a store for each."
        )
    share = ALONE if shard is None else parse_share(shard)
    if not share.alone and overwrite:
        raise InputError(f"The shard {shard} cannot overwrite: do that alone.")
    settings = _settings(workers, strict, progress, share, watch)
    request = Request(batch_size, threads, device, precision, backend)
    source = load_source(data)
    subjects = [subject_of(model, source, request=request, **what) for model in models]
    fill_together(subjects, places, settings, overwrite=overwrite)
    return [cube.open(place) for place in places]


def subject_of(
    model: str | torch.nn.Module | Callable[..., Any] | Classifier,
    data: str | ImageSource,
    *,
    request: Request,
    probes: Sequence[Probe] | Callable[[tuple[int, int]], Sequence[Probe]] | None = None,
    adaptive: float | Pilot | None = None,
    zoom: Zoom | Iterable[float] | None = None,
    convention: str | Convention = "bandscope",
    weights: str | os.PathLike[str] | None = None,
    preprocess: Preprocess | None = None,
    overrides: Mapping[str, Any] | None = None,
    classes: Sequence[ClassLabel | str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    match: str = "auto",
    limit: int | None = None,
    per_class: int | None = None,
    seed: int = 0,
) -> Subject:
    """What `audit` is asked to measure, loaded and checked; see there for the arguments."""
    chosen = convention if isinstance(convention, Convention) else Convention.named(convention)
    classifier = _classifier(model, weights, preprocess, overrides, classes)
    size = classifier.preprocess.size
    check_size(classifier.preprocess)
    source = select(load_source(data), limit=limit, per_class=per_class, seed=seed)
    wanted = resolve(_probes(probes, size, default_radii if adaptive is None else coarse_radii), size)
    pilot = adaptive if adaptive is None or isinstance(adaptive, Pilot) else Pilot(adaptive)
    asked = None if pilot is None else pilot.asked(wanted, len(source), seed)
    classifier.prepare(torch.device(usable_device(request.device)), torch.float32)
    outputs = probe_outputs(classifier)
    own_labels = checked_labels(source)
    label_of = match_labels(source.classes, classifier.classes, outputs, labels_csv=labels, by=match)
    layout = Layout(wanted, chosen, _scales(zoom, source, classifier.preprocess))
    return Subject(classifier, source, label_of[own_labels], outputs, layout, request, asked)


def _settings(
    workers: int, strict: bool, progress: engine.Progress | None, share: Share, watch: engine.Watch | None
) -> engine.Settings:
    if not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers={workers!r} is not possible; give a number >= 1.")
    return engine.Settings(workers, strict, progress, share, watch)


def _classifier(
    model: Any,
    weights: str | os.PathLike[str] | None,
    preprocess: Preprocess | None,
    overrides: Mapping[str, Any] | None,
    classes: Sequence[ClassLabel | str] | None,
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


def check_size(preprocess: Preprocess, zoom: float = 1.0) -> None:
    """Refuse what no memory holds, such as a side of 224000 pixels, a crop_pct of 0.001 or a zoom of 1000."""
    resize = preprocess.resize if isinstance(preprocess.resize, tuple) else (preprocess.resize or 0,)
    if (side := max(*preprocess.size, *(zoom * side for side in resize))) > MAX_SIDE:
        raise InputError(
            f"The preprocessing asks for images of {side:.0f} pixels a side; at most {MAX_SIDE} are possible "
            "(input_size, crop_pct and zoom decide)."
        )


def _probes(
    probes: Sequence[Probe] | Callable[[tuple[int, int]], Sequence[Probe]] | None,
    size: tuple[int, int],
    default: Callable[[tuple[int, int]], Sequence[float]],
) -> Sequence[Probe]:
    if probes is None:
        radii = default(size)
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
    check_size(preprocess, values[-1] if asked.axis == "zoom" else 1.0)
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
