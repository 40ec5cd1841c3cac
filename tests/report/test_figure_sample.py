import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tables as t
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bandscope.errors import InputError
from bandscope.report.figures import figure_sample

RADII = [15.0, 45.0, 110.0, math.inf]
STRIP = np.stack([t.low_passed(t.texture(32), radius) for radius in (4, 8, 12, 16)])


def draw(**settings: object) -> Figure:
    values: dict = {"images": STRIP, "radii": RADII, "curves": t.sample(), "label": t.LABEL} | settings
    return figure_sample(**values)


def plot_of(figure: Figure) -> Axes:
    return figure.axes[-1]


def test_the_strip_shows_the_images_with_their_radii():
    *strip, _ = draw().axes
    assert [axes.get_title() for axes in strip] == ["r = 15", "r = 45", "r = 110", "clean"]
    for axes, image in zip(strip, STRIP, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)


def test_grey_images_are_shown_grey():
    *strip, _ = draw(images=STRIP[..., :1]).axes
    assert strip[0].images[0].get_array().shape == (32, 32)
    assert strip[0].images[0].get_clim() == (0, 1)


def test_each_class_has_its_curve_gaps_included(texts_of: Callable):
    figure = draw()
    names = {text for text, _ in texts_of(figure)}
    for name, rows in t.sample().groupby("class_name"):
        (line,) = [
            line
            for line in plot_of(figure).lines
            if np.array_equal(line.get_ydata(), rows["probability"], equal_nan=True)
        ]
        np.testing.assert_array_equal(line.get_xdata(), rows["radius"])
        assert name in names
        assert (line.get_linewidth() > 2) == (name == t.LABEL)


def test_lines_lead_from_each_image_to_its_radius():
    figure = draw()
    assert [line.xy2 for line in figure.artists] == [(15.0, 1.0), (45.0, 1.0), (110.0, 1.0)]


def test_the_class_is_behind_with_its_interval():
    table = t.curve_table(n=50)
    axes = plot_of(draw(class_curve=table))
    mean = next(line for line in axes.lines if np.array_equal(line.get_ydata(), table["probability"]))
    label = next(line for line in axes.lines if line.get_linewidth() > 2)
    assert mean.get_zorder() < label.get_zorder()
    corners = {tuple(xy) for xy in axes.collections[0].get_paths()[0].vertices}
    assert corners >= set(zip(table["radius"], table["probability_ci_high"], strict=True))


def test_takeovers_are_shaded_and_frame_their_images():
    figure = draw(takeovers=t.sample_takeovers())
    (span,) = plot_of(figure).patches
    assert (span.get_x(), span.get_x() + span.get_width()) == (87.5, 142.5)  # half way to the radii beside it
    *strip, _ = figure.axes
    frames = [axes.spines["top"].get_edgecolor() for axes in strip]
    assert frames[2][:3] == span.get_facecolor()[:3]
    assert frames[0] == frames[1] == frames[3] != frames[2]


def test_takeovers_of_other_probes_are_not_shown():
    assert not plot_of(draw(takeovers=t.sample_takeovers().assign(probe="high_pass"))).patches


def test_the_onset_is_marked():
    figure = draw(onset=145.0)
    assert any(list(line.get_xdata()) == [145.0, 145.0] for line in plot_of(figure).lines)
    assert any(text.get_text() == "onset r = 145" for text in plot_of(figure).texts)
    assert not any("onset" in text.get_text() for text in plot_of(draw(onset=math.nan)).texts)


def test_units_and_second_axis():
    figure = draw()
    axes = plot_of(figure)
    assert axes.get_xlabel() == "Low-pass radius r (cycles/image)"
    assert axes.get_ylabel() == "Probability (%)"
    figure.draw_without_rendering()
    (second,) = axes.child_axes
    np.testing.assert_allclose(np.multiply(second.get_xlim(), t.SIDE), axes.get_xlim())


def test_the_rivals_with_the_highest_peaks_are_drawn(texts_of: Callable):
    table = t.sample()
    extra = [table[table["class_name"] == t.RIVAL].assign(class_name=f"r{i}", probability=i / 20) for i in range(12)]
    figure = draw(curves=pd.concat([table, *extra]))
    names = {text for text, _ in texts_of(figure)}
    assert {t.LABEL, t.RIVAL, "r11", "r10"} <= names
    assert "r1" not in names


def test_without_images_the_curves_are_alone_under_a_note(check_legible: Callable):
    note = "The image cannot be shown: " + "/a/long/path/to/nowhere" * 10
    figure = draw(images=None, radii=(), note=note, onset=45.0, takeovers=t.sample_takeovers())
    (axes,) = figure.axes
    assert "".join(axes.get_title(loc="left").split()) == "".join(note.split())
    assert len(axes.lines) > 4
    assert not figure.artists
    check_legible(figure)


def test_where_there_are_images_there_is_no_note():
    assert plot_of(draw(note="gone")).get_title(loc="left") == ""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"images": STRIP[:2]}, "2 images and 4 radii"),
        ({"images": STRIP[:0], "radii": []}, "0 images and 0 radii"),
        ({"images": np.tile(STRIP[:1], (13, 1, 1, 1)), "radii": range(13)}, "1 to 12"),
        ({"images": STRIP[..., :2]}, "c 1 or 3"),
        ({"images": STRIP[0]}, r"shape \(32, 32, 3\)"),
        ({"images": STRIP * 255}, r"allowed is \[0, 1\]"),
        ({"images": STRIP * np.nan}, r"allowed is \[0, 1\]"),
        ({"radii": [15, 15, 45, 110]}, "must be rising"),
        ({"radii": [-1, 15, 45, 110]}, "must be rising"),
        ({"radii": [1, math.nan, 45, 110]}, "must be rising"),
        (
            {"curves": t.sample().query(f"class_name == '{t.RIVAL}'")},
            "label is 'barn spider'; allowed are harvestman",
        ),
        ({"label": "barn spyder"}, "Did you mean 'barn spider'"),
        ({"curves": t.sample().drop(columns="probability")}, "lacks probability"),
        ({"curves": t.sample().assign(probability=np.nan)}, "every probability is NaN"),
        ({"curves": t.sample().assign(probe="high_pass")}, "no rows of probe 'low_pass'"),
        ({"class_curve": t.sample()}, "class_curve: the table lacks probability_ci_low"),
        ({"takeovers": t.sample()}, "takeovers: the table lacks from_radius"),
    ],
)
def test_what_cannot_be_drawn_is_named(settings: dict, words: str):
    with pytest.raises(InputError, match=words):
        draw(**settings)
