"""Every figure, ordinary and awkward, can be read: nothing overlaps, nothing is cut off, no warning."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tables as t
from matplotlib.figure import Figure

from bandscope.report import figures as f

CLASSES = [f"class number {index}" for index in range(1000)]
LONG = [
    "x",
    "a class name of just forty characters, ok",
    "W" * 40,
    "three-toed sloth, ai, Bradypus tridactylus and so on",
]
MODELS = {
    "MobileNetV1 1.0": t.overall(clean=0.732, centre=38),
    "SqueezeNet 1.1": t.overall(clean=0.581, centre=47),
    "ViT-B/16 (augreg)": t.overall(clean=0.845, centre=29),
}
STRIP = np.stack([t.low_passed(t.texture(), radius) for radius in (5, 15, 25, 45, 75)] + [t.texture()])


def sample(**settings: object) -> Figure:
    return f.figure_sample(
        STRIP, [5, 15, 25, 45, 75, math.inf], t.sample(), t.LABEL, class_curve=t.curve_table(clean=0.86, n=50),
        takeovers=t.sample_takeovers(), onset=145.0, **settings,
    )  # fmt: skip


FIGURES: dict[str, Callable[[], Figure]] = {
    "one model": lambda: f.figure_curves(t.overall(), chance=0.001),
    "three models": lambda: f.figure_curves(MODELS, chance=0.001, title="three models"),
    "relative, log": lambda: f.figure_curves(MODELS, relative=True, xscale="log"),
    "long labels": lambda: f.figure_curves({name: t.overall(clean=0.6) for name in LONG}),
    "one column": lambda: f.figure_curves(t.overall(("high_pass",)), chance=0.1),
    "families": lambda: f.figure_curves(
        pd.concat([t.overall(("low_pass", "high_pass_gaussian", "low_pass_butterworth")), t.band_probe()])
    ),
    "one radius": lambda: f.figure_curves(t.overall(radii=np.array([45.0])), chance=0.1),
    "map of groups": lambda: f.figure_heatmap(t.by_group(), t.bands_of(undefined=[3])),
    "map, log": lambda: f.figure_heatmap(t.by_group(), probe="high_pass", value="relative", xscale="log"),
    "map, long names": lambda: f.figure_heatmap(
        t.by_group(LONG), t.bands_of(LONG), title="$ a title of some length $"
    ),
    "map of one group": lambda: f.figure_heatmap(t.by_group(["all"]), t.bands_of(["all"])),
    "map, one radius": lambda: f.figure_heatmap(t.by_group(radii=np.array([45.0])), t.bands_of()),
    "map of 1000 classes": lambda: f.figure_heatmap(
        t.by_group(CLASSES, classes=True, probes=("low_pass",)),
        t.bands_of(CLASSES, classes=True, undefined=range(99)),
    ),
    "bands": lambda: f.figure_band_accuracy(t.bands_of(undefined=[2]), t.correlations(), pixels=224),
    "bands, long names": lambda: f.figure_band_accuracy(t.bands_of(LONG), xscale="log", pixels=224),
    "bands of 1000 classes": lambda: f.figure_band_accuracy(t.bands_of(CLASSES, classes=True), t.correlations()),
    "sample": lambda: sample(title="n01773549/7.JPEG"),
    "sample, log": lambda: sample(xscale="log"),
    "summary": lambda: f.figure_summary(
        t.overall(), t.by_group(), t.bands_of(undefined=[3]), chance=0.001, title="MobileNetV1 1.0 on imagenet-500"
    ),
    "summary, one probe": lambda: f.figure_summary(t.overall(("low_pass",)), t.by_group(LONG)),
    "summary without groups": lambda: f.figure_summary(t.overall()),
    "summary, 60 of 1000": lambda: f.figure_summary(
        t.overall(), t.by_group(CLASSES, classes=True), t.bands_of(CLASSES, classes=True), max_rows=60, xscale="log"
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_overlaps_or_is_cut_off(name: str, check_legible: Callable[[Figure], None]):
    check_legible(FIGURES[name]())


def test_the_check_sees_an_overlap(check_legible: Callable[[Figure], None]):
    figure = FIGURES["one model"]()
    figure.text(0.5, 0.5, "one")
    figure.text(0.51, 0.5, "two")
    with pytest.raises(AssertionError, match="'one' and 'two' overlap"):
        check_legible(figure)
