import io
import itertools

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.optimize import minimize

from bandscope.report.figures import style

PLACES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12).map(sorted).map(np.array)


@given(PLACES, st.floats(0, 0.08))
def test_spread_keeps_order_gap_and_limits(wanted: np.ndarray, gap: float):
    places = style.spread(wanted, gap, 0.0, 1.0)
    assert (np.diff(places) >= gap - 1e-9).all()
    assert places.min() >= -1e-9
    assert places.max() <= 1 + 1e-9


@given(PLACES)
def test_spread_leaves_what_is_apart(wanted: np.ndarray):
    gap = float(np.diff(wanted).min(initial=1.0))
    np.testing.assert_allclose(style.spread(wanted, gap, 0.0, 1.0), wanted, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_spread_is_the_least_squares_solution(seed: int):
    wanted, gap = np.sort(np.random.default_rng(seed).uniform(0.3, 0.6, 6)), 0.07
    apart = {"type": "ineq", "fun": lambda x: np.diff(x) - gap}
    best = minimize(lambda x: ((x - wanted) ** 2).sum(), wanted, constraints=[apart], tol=1e-12)
    np.testing.assert_allclose(style.spread(wanted, gap, 0.0, 1.0), best.x, atol=1e-4)


def test_spread_of_too_many_uses_all_the_room():
    np.testing.assert_allclose(style.spread(np.full(5, 0.5), 0.9, 0.0, 1.0), [0, 0.25, 0.5, 0.75, 1])


@given(st.text(max_size=80), st.floats(0.3, 3))
def test_shortened_names_fit(text: str, inches: float):
    with pytest.MonkeyPatch.context() as patch:  # hypothesis draws letters that no font has
        patch.setattr(style, "text_width", lambda line, size=7: 0.06 * len(line))
        short = style.shorten(text, inches)
    assert 0.06 * len(short) <= max(inches, 0.06)
    assert "\n" not in short


def test_a_name_that_fits_is_kept_and_a_long_one_is_cut_at_its_end():
    assert style.shorten("tench, Tinca tinca") == "tench, Tinca tinca"
    cut = style.shorten("a" * 200, 1.0)
    assert cut.endswith("a…")
    assert 0.9 < style.text_width(cut) <= 1.0


@pytest.mark.parametrize(
    ("scale", "middle"), [("linear", lambda a, b: (a + b) / 2), ("log", lambda a, b: (a * b) ** 0.5)]
)
def test_cells_meet_half_way(scale, middle):
    centres = np.array([4.0, 8.0, 20.0, 25.0])
    edges = style.cell_edges(centres, scale)
    np.testing.assert_allclose(edges[1:-1], [middle(a, b) for a, b in itertools.pairwise(centres)])
    np.testing.assert_allclose([middle(edges[0], edges[1]), middle(edges[-2], edges[-1])], centres[[0, -1]])


def test_a_single_cell_has_a_width():
    assert style.cell_edges(np.array([45.0]), "linear").tolist() == [44.5, 45.5]


def test_the_first_35_looks_differ_in_more_than_colour():
    looks = [style.look(index) for index in range(35)]
    assert len({(look.dashes, look.marker) for look in looks}) == 35


def luminance(colour: str) -> float:
    """Relative luminance as in WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("colour", [style.INK, style.GREY])
def test_text_has_the_contrast_that_wcag_asks_for(colour: str):
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_drawing_leaves_the_callers_settings_alone():
    with matplotlib.rc_context({"font.size": 17.0, "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        with style.drawing():
            assert matplotlib.rcParams["font.size"] == style.TEXT
            assert not matplotlib.rcParams["axes.grid"]
        assert dict(matplotlib.rcParams) == before


def test_notebooks_show_a_figure_in_our_style_whatever_the_callers():
    figure = style.sheet(2.0, 1.0)
    figure.subplots().set_title("r")
    shown = figure._repr_png_()
    assert Image.open(io.BytesIO(shown)).size == (2 * style.NOTEBOOK_DPI, style.NOTEBOOK_DPI)
    with matplotlib.rc_context({"savefig.facecolor": "red", "savefig.bbox": "tight"}):
        assert figure._repr_png_() == shown
