"""A cube of many classes, made rather than measured: what a report of it weighs does not depend on a network."""

import numpy as np
import xarray as xr

from bandscope.conventions import Convention
from bandscope.preprocess import Preprocess

RADII = np.arange(5.0, 165.0, 5.0)
RANKS = 5


def large_cube(classes: int, per_class: int, spec: str, sources: list[str]) -> xr.DataTree:
    """Rising low-pass and falling high-pass curves; `sources` holds a path for each image."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes, dtype=np.int32), per_class)
    middle = random.uniform(20, 90, classes)[labels] * random.lognormal(0, 0.3, len(labels))
    known = random.random(len(labels)) < 0.8
    rising = (middle[:, None] <= RADII) & known[:, None] & (random.random((len(labels), len(RADII))) < 0.95)
    falling = (middle[:, None] / 6 > RADII) & known[:, None]
    clean = {
        f"clean_{name}": values[:, 0] for name, values in _measured(known[:, None], labels, classes, random).items()
    }
    root = xr.Dataset(
        {
            "label": ("image", labels),
            "source": ("image", np.array(sources, dtype=object)),
            "status": ("image", np.array(["ok"] * len(labels), dtype=object)),
            "class_name": ("class", np.array([f"class number {k}" for k in range(classes)], dtype=object)),
            "class_wnid": ("class", np.array([""] * classes, dtype=object)),
            **{name: (("image", "rank")[: values.ndim], values) for name, values in clean.items()},
        },
        coords={"image": np.arange(len(labels))},
        attrs={
            "model": {"spec": "made"},
            "data": {"spec": spec},
            "preprocess": Preprocess((224, 224), 256, (0.5,) * 3, (0.25,) * 3).to_json(),
            "convention": Convention().to_json(),
        },
    )
    probes = {"low_pass": rising, "high_pass": falling}
    groups = {
        f"/{kind}": xr.Dataset(
            {
                name: (("image", "radius", "rank")[: values.ndim], values)
                for name, values in _measured(right, labels, classes, random).items()
            },
            coords={"radius": RADII, "frequency": ("radius", RADII / 224)},
            attrs={"kind": kind, "family": "ideal"},
        )
        for kind, right in probes.items()
    }
    return xr.DataTree.from_dict({"/": root, **groups})


def _measured(
    right: np.ndarray, labels: np.ndarray, classes: int, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Outcomes in which the label is on top where it is right, and another class is where it is not."""
    other = (labels[:, None] + random.integers(1, classes, right.shape)) % classes
    top = np.where(right, labels[:, None], other)[..., None]
    ranked = (top + np.arange(RANKS) * 7) % classes
    share = random.uniform(0.3, 0.9, right.shape).astype(np.float32)
    label = np.where(right, share, 0.1 * share)
    falling = share[..., None] * np.float32(0.4) ** np.arange(RANKS, dtype=np.float32)
    return {
        "probability": label.astype(np.float32),
        "margin": np.where(right, 1, -1).astype(np.float32),
        "top5_class": ranked.astype(np.int32),
        "top5_probability": falling.astype(np.float32),
    }
