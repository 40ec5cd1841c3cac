import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tables as t
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bandscope.errors import InputError
from bandscope.report.figures import figure_sample_zooms
from bandscope.report.figures.sample_zooms import ZoomRow

RADII = [15.0, 45.0, 110.0, math.inf]
STRIP = np.stack([t.low_passed(t.texture(32), radius) for radius in (4, 8, 12, 16)])
ZOOMS = (0.5, 1.0, 2.0)


def row(zoom: float, **changes: object) -> ZoomRow:
    """The spider at a zoom: all its radii divided by it."""
    radii = t.RADII / zoom
    curves = t.sample(radii * zoom).assign(radius=lambda table: table["radius"] / zoom)
    curves = curves[curves["radius"] <= t.RADII.max()].assign(frequency=lambda table: table["radius"] / t.SIDE)
    given = ZoomRow(f"zoom {zoom:g}", STRIP, curves, onset=60 / zoom, r50=36 / zoom)
    return replace(given, **changes)  # type: ignore[arg-type]


ROWS = [row(zoom) for zoom in ZOOMS]


def draw(rows: list[ZoomRow] = ROWS, radii: object = RADII, **settings: object) -> Figure:
    return figure_sample_zooms(rows, radii, **({"label": t.LABEL} | settings))  # type: ignore[arg-type]


def grid(figure: Figure, rows: int = len(ZOOMS)) -> tuple[list[list[Axes]], list[Axes]]:
    axes = np.array(figure.axes).reshape(rows, -1)
    return axes[:, :-1].tolist(), axes[:, -1].tolist()


def at(axes: Axes) -> set[float]:
    """Where vertical lines stand."""
    return {line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1}


def test_a_row_a_zoom_and_a_column_a_radius():
    strips, panels = grid(draw())
    assert [strip[0].get_ylabel() for strip in strips] == ["zoom 0.5", "zoom 1", "zoom 2"]
    assert [axes.get_title() for axes in strips[0]] == ["r = 15", "r = 45", "r = 110", "clean"]
    assert {axes.get_title() for strip in strips[1:] for axes in strip} == {""}
    for strip in strips:
        for axes, image in zip(strip, STRIP, strict=True):
            np.testing.assert_array_equal(axes.images[0].get_array(), image)
    for panel, given in zip(panels, ROWS, strict=True):
        for name, own in given.curves.groupby("class_name"):
            (line,) = [
                line
                for line in panel.lines
                if np.array_equal(line.get_ydata(), own["probability"], equal_nan=True)
                and np.array_equal(line.get_xdata(), own["radius"])
            ]
            assert (line.get_linewidth() > 2) == (name == t.LABEL)


def test_all_rows_share_a_radius_axis_that_the_last_one_names():
    _, panels = grid(draw())
    assert len({axes.get_xlim() for axes in panels}) == 1
    assert [axes.get_xlabel() for axes in panels] == ["", "", "Low-pass radius r (cycles/image)"]
    assert [len(axes.child_axes) for axes in panels] == [0, 0, 1]
    left = {axes.get_position().x0 for axes in panels}
    assert len(left) == 1


def test_a_class_has_one_colour_in_all_rows():
    alone = replace(ROWS[1], curves=ROWS[1].curves.query("class_name in [@t.LABEL, 'spider web']"))
    _, panels = grid(draw([ROWS[0], alone, ROWS[2]]))
    for name in (t.LABEL, "spider web"):
        colours = set()
        for panel, given in zip(panels, [ROWS[0], alone, ROWS[2]], strict=True):
            own = given.curves.loc[given.curves["class_name"] == name, "probability"]
            colours |= {
                line.get_color() for line in panel.lines if np.array_equal(line.get_ydata(), own, equal_nan=True)
            }
        assert len(colours) == 1


def test_r50_and_onset_are_marked_and_written():
    _, panels = grid(draw([ROWS[0], replace(ROWS[1], r50=math.nan, onset=math.nan), ROWS[2]]))
    assert {72.0, 120.0} <= at(panels[0])
    assert {18.0, 30.0} <= at(panels[2])
    assert at(panels[1]) == {15.0, 45.0, 110.0, math.inf}
    said = [panel.texts[0].get_text() for panel in panels]
    assert said == ["r50 = 72.0\nonset 120", "no r50\nno onset", "r50 = 18.0\nonset 30"]


def test_a_line_leads_from_each_r50_to_the_next():
    figure = draw()
    figure.draw_without_rendering()
    assert [(line.xy1, line.xy2) for line in figure.artists] == [
        ((72.0, 0.0), (36.0, 1.0)),
        ((36.0, 0.0), (18.0, 1.0)),
    ]
    assert len(draw([ROWS[0], replace(ROWS[1], r50=math.nan), ROWS[2]]).artists) == 0


def test_takeovers_are_shaded_and_frame_the_images_of_their_row():
    strips, panels = grid(draw([ROWS[0], replace(ROWS[1], takeovers=t.sample_takeovers()), ROWS[2]]))
    assert [len(panel.patches) for panel in panels] == [0, 1, 0]
    framed = [[axes.spines["top"].get_linewidth() > 1 for axes in strip] for strip in strips]
    assert framed == [[False] * 4, [False, False, True, False], [False] * 4]


def test_classes_that_take_over_are_never_left_out(texts_of: Callable):
    others = [ROWS[0].curves.query("class_name == @t.RIVAL").assign(class_name=f"r{i}", probability=0.9 + i / 200)
              for i in range(9)]  # fmt: skip
    crowded = replace(ROWS[0], curves=pd.concat([ROWS[0].curves, *others]))
    assert t.RIVAL not in {text for text, _ in texts_of(draw([crowded, ROWS[1]]))}
    lost = replace(ROWS[1], takeovers=t.sample_takeovers())
    assert {t.LABEL, t.RIVAL, "r8"} <= {text for text, _ in texts_of(draw([crowded, lost]))}


def test_the_legend_names_what_there_is():
    def names(rows: list[ZoomRow], **settings: object) -> set[str]:
        return {text.get_text() for text in draw(rows, **settings).legends[0].get_texts()}

    classes = set(t.sample()["class_name"])
    assert names(ROWS) == {*classes, "r50", "onset"}
    plain = [replace(one, r50=math.nan, onset=math.nan, class_curve=t.curve_table(n=50)) for one in ROWS]
    assert names(plain, class_curve_name="spiders") == {*classes, "mean of spiders"}


def test_without_images_each_zoom_still_has_its_panel(check_legible: Callable):
    figure = draw([replace(one, images=None) for one in ROWS], (), note="The image cannot be shown. It is gone.")
    assert [axes.get_ylabel() for axes in figure.axes] == ["zoom 0.5", "zoom 1", "zoom 2"]
    assert figure.axes[0].get_title(loc="left") == "The image cannot be shown. It is gone.\n\nProbability (%)"
    check_legible(figure)


WIDE = np.tile(STRIP, (1, 1, 3, 1))
LONG = "a class name of just forty characters, ok"
FIGURES: dict[str, Callable[[], Figure]] = {
    "six": lambda: draw([row(zoom, name=f"zoom {zoom:g}\n75% padded") for zoom in (0.35, 0.5, 0.71, 1, 1.41, 2)]),
    "two, behind": lambda: draw([row(zoom, class_curve=t.curve_table(clean=0.86, n=50)) for zoom in (1, 2)]),
    "one": lambda: draw([ROWS[1]]),
    "log": lambda: draw(xscale="log"),
    "wide": lambda: draw([replace(one, images=WIDE) for one in ROWS]),
    "tall, grey": lambda: draw([replace(one, images=np.tile(STRIP[..., :1], (1, 3, 1, 1))) for one in ROWS]),
    "one radius": lambda: draw([replace(one, images=STRIP[:1]) for one in ROWS], [15.0]),
    "twelve radii": lambda: draw([replace(one, images=STRIP[[0] * 12]) for one in ROWS], range(100, 112)),
    "long names": lambda: draw(
        [replace(one, curves=one.curves.replace({"class_name": {t.LABEL: LONG, t.RIVAL: "W" * 60}})) for one in ROWS],
        label=LONG, title="n01773549/" * 20, class_curve_name="W" * 60,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_overlaps_or_is_cut_off(name: str, check_legible: Callable):
    check_legible(FIGURES[name]())


@pytest.mark.parametrize(
    ("rows", "settings", "words"),
    [
        ([], {}, "0 rows; allowed are 1 to 6"),
        (ROWS * 3, {}, "9 rows; allowed are 1 to 6"),
        ([ROWS[0], replace(ROWS[1], images=None)], {}, "every row needs images of one size"),
        ([ROWS[0], replace(ROWS[1], images=STRIP[:, :16])], {}, "every row needs images of one size"),
        ([ROWS[0], replace(ROWS[1], images=STRIP[:2])], {}, "2 images and 4 radii"),
        (ROWS, {"label": "barn spyder"}, "Did you mean 'barn spider'"),
        (ROWS, {"xscale": "lin"}, "xscale is 'lin'"),
        ([ROWS[0], replace(ROWS[1], curves=t.sample().assign(probability=np.nan))], {}, "every probability is NaN"),
        ([replace(ROWS[0], takeovers=t.sample_takeovers().drop(columns="usurper"))], {}, "lacks usurper"),
    ],
)
def test_what_cannot_be_drawn_is_named(rows: list[ZoomRow], settings: dict, words: str):
    with pytest.raises(InputError, match=words):
        draw(rows, **settings)
