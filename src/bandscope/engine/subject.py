"""What is audited, as its store tells it; and what sets another store apart from it."""

import platform
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Int

from bandscope.classifiers.backends import PACKAGES
from bandscope.classifiers.base import Classifier
from bandscope.classifiers.torch_classifier import answers
from bandscope.cube.schema import SETTINGS, CubeHeader, ProbeAxes, ScaleAxis
from bandscope.cube.store import Store
from bandscope.datasets.base import ImageSource
from bandscope.engine.conditions import Layout
from bandscope.engine.job import Job
from bandscope.engine.plan import Plan, Request
from bandscope.engine.scales import NO_SCALES, UNITS
from bandscope.errors import StoreError
from bandscope.labels import ClassLabel
from bandscope.nested import flat

ANSWERS = "answers"  # of a model that no hash identifies


@dataclass(frozen=True)
class Subject:
    """An audit's parts, before its settings are frozen.

    pilot: of an adaptive audit, what decides its radii (`Pilot.asked`), and once they are chosen, "radii".
    """

    classifier: Classifier
    source: ImageSource
    labels: Int[np.ndarray, " images"]
    outputs: int
    layout: Layout
    request: Request
    pilot: Mapping[str, Any] | None = None

    def at_radii(self, radii: Sequence[float]) -> "Subject":
        """The same at the radii that its pilot has chosen."""
        return replace(self, layout=self.layout.at_radii(radii), pilot={**(self.pilot or {}), "radii": [*radii]})

    def job(self, plan: Plan, layout: Layout) -> Job:
        """What the engine measures."""
        return Job(self.classifier, self.source, self.labels, self.outputs, layout, plan)

    def identity(self) -> dict[str, Any]:
        """What must agree before results may share a store."""
        own = {"spec": self.classifier.spec, "outputs": self.outputs}
        if self._answers:
            own[ANSWERS] = self._answers
        return {
            "model": {**self.classifier.provenance, **own},
            "data": {"spec": self.source.spec, "images": len(self.source), "fingerprint": self.source.fingerprint()},
            "preprocess": self.classifier.preprocess.to_json(),
            "convention": self.layout.convention.to_json(),
            "zoom": self.layout.scales.identity() if self.layout.scales else _fixed(NO_SCALES),
        }

    @cached_property
    def _answers(self) -> list[list[float]] | None:
        return answers(self.classifier)

    def header(self, plan: Plan, layout: Layout, choice: Mapping[str, Any] | None = None) -> CubeHeader:
        """All that a store of these conditions says of itself; `choice` is what the plan's backend rests on."""
        scales = layout.scales
        attributes = {
            **self.identity(),
            "zoom": scales.to_json() if scales else None,
            "probes": [probe.to_json() for probe in layout.probes],
            "plan": plan.to_json(),
            **({"choice": dict(choice)} if choice else {}),
            "environment": _environment(plan),
            **({"pilot": self.pilot} if self.pilot else {}),
            "command": shlex.join([Path(sys.argv[0]).name.replace("__main__.py", "bandscope"), *sys.argv[1:]]),
        }
        names = self.classifier.classes or tuple(ClassLabel(str(i)) for i in range(self.outputs))
        axes = tuple(ProbeAxes(p.name, p.kind, p.family, p.dimension, p.coordinates()) for p in layout.probes)
        scale = ScaleAxis(scales.axis, scales.values, UNITS[scales.axis]) if scales else None
        return CubeHeader(self.labels, self.source.paths, names, axes, attributes, scale)


def same_pilot(stored: Mapping[str, Any] | None, asked: Mapping[str, Any] | None) -> TypeGuard[Mapping[str, Any]]:
    """Whether a stored pilot was asked the same: on one model and data, its radii are those that are sought."""
    if stored is None or asked is None:
        return False
    return all(stored.get(key) == value for key, value in asked.items() if key != "radii")


def differences(subject: Subject, store: Store) -> list[str]:
    """What sets a store apart from the subject: model, data, labels, preprocessing or convention, a line each."""
    if missing := [name for name in SETTINGS if name not in store.attributes]:
        raise StoreError(
            f"{store.place} lacks its settings ({', '.join(missing)}): it is damaged. "
            "Choose another --out, or start again with --overwrite."
        )
    identity = subject.identity()
    held = {**store.attributes, "zoom": _fixed(store.attributes.get("zoom"))}
    asked, stored = flat(identity), flat({key: held[key] for key in identity})
    # Where a file lies, and which library version read it, do not change what it is.
    ignored = {"model.spec", "model.source", "data.spec"} if asked.get("model.weights_sha256") else {"data.spec"}
    keys = [k for k in sorted({*asked, *stored}) if k not in ignored and not k.startswith("model.versions")]
    differing = [
        _difference(key, asked.get(key), stored.get(key))
        for key in keys
        if not _same(key, asked.get(key), stored.get(key))
    ]
    return differing or _other_labels(subject, store.labels)


def _same(key: str, asked: Any, stored: Any) -> bool:
    """Whether a setting is unchanged; answers to a hundredth, since another machine rounds otherwise."""
    if key != f"model.{ANSWERS}" or not (asked and stored):
        return bool(asked == stored)
    return bool(np.allclose(asked, stored, rtol=0, atol=0.01 * np.abs(stored).max()))


def _difference(key: str, asked: Any, stored: Any) -> str:
    if key == f"model.{ANSWERS}":
        return f"{key}: the model of that name gives other logits for the same images than when the store was begun"
    return f"{key}: {_shown(asked)} asked, {_shown(stored)} stored"


def _other_labels(subject: Subject, stored: Int[np.ndarray, " images"]) -> list[str]:
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


def _fixed(scales: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a store's scales must not change: all but the values."""
    return {key: value for key, value in (scales or NO_SCALES).items() if key != "values"}


def _environment(plan: Plan) -> dict[str, str]:
    always = ("bandscope", "torch", "torchvision", "timm", "numpy", "pillow", "xarray", "zarr")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: version(package) for package in (*always, *PACKAGES.get(plan.backend, ()))},
    }
