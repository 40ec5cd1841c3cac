"""The images worth looking at: against plain loops over one image at a time, and on planted stories."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_cubes import law_cube, make_cube, random_cube, stack_zooms, take_images, threshold_curves

from bandscope.analysis import at_zoom, samples, takeovers, telling
from bandscope.analysis.telling import RANKED_BY, largest_fall, octaves
from bandscope.errors import InputError

EVERYONE = 1000
OCTAVES_APART = np.array([10.0, 20, 40, 80, 160])
probes = st.sampled_from(["low_pass", "high_pass"])
ABOUT = ["image", "source", "label", "label_name", "probe", "clean_right"]


def width_by_hand(radii: list[float]) -> dict[float, float]:
    """Octaves from half way below each radius to half way above it; an end reaches as far out as in."""
    inside = [r for r in radii if r > 0]
    if len(inside) == 1:
        return dict.fromkeys(radii, 0.0) | {inside[0]: 1.0}
    found = dict.fromkeys(radii, 0.0)
    for i, r in enumerate(inside):
        above = math.log2(inside[i + 1] / r) / 2 if i + 1 < len(inside) else None
        below = math.log2(r / inside[i - 1]) / 2 if i else None
        found[r] = (below if above is None else above) + (above if below is None else below)
    return found


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8, unique=True).filter(lambda radii: max(radii) > 0))
def test_octaves_are_those_between_the_middles(radii):
    radii = sorted(map(float, radii))
    np.testing.assert_allclose(octaves(np.array(radii)), list(width_by_hand(radii).values()), atol=1e-12)


@settings(max_examples=8)
@given(st.integers(0, 10_000), probes)
def test_the_strongest_takeovers_are_those_found_by_hand(seed, probe):
    cube = random_cube(seed, n=25, conditions=7, classes=7)
    node, width = cube[probe], width_by_hand(cube[probe]["radius"].values.tolist())
    strongest: dict[int, float] = {}
    for run in takeovers(cube).query("probe == @probe").itertuples():
        mass = 0.0
        for at, r in enumerate(node["radius"].values):
            if run.from_radius <= r <= run.to_radius:
                top = node["top5_class"].values[run.image, at].tolist()
                if run.usurper_index in top:
                    mass += node["top5_probability"].values[run.image, at, top.index(run.usurper_index)] * width[r]
        strongest[run.image] = max(mass, strongest.get(run.image, 0.0))
    table = telling(cube, "takeover", EVERYONE, probe)
    assert dict(zip(table["image"], table["mass"], strict=True)) == pytest.approx(strongest, rel=1e-6)
    assert table["mass"].is_monotonic_decreasing
    runs = takeovers(cube).query("probe == @probe")
    keys = ["image", "from_radius", "to_radius", "usurper_index", "usurper_probability", "regained"]
    assert len(table.merge(runs, on=keys)) == len(table)


def test_a_takeover_of_two_octaves_at_one_half_is_one():
    right = np.array([[0, 1, 0, 0, 1], [0, 1, 1, 0, 1], [0, 1, 1, 1, 1]], dtype=bool)
    table = telling(make_cube(right, radius=OCTAVES_APART), "takeover")
    np.testing.assert_allclose(table["mass"], [1.0, 0.5])
    assert table["image"].tolist() == [0, 1]  # the third shows nothing
    first = table.iloc[0]
    assert (first["from_radius"], first["to_radius"], first["usurper"]) == (40, 80, "class 1")
    assert first["usurper_probability"] == pytest.approx(0.5)
    assert first["regained"]


@settings(max_examples=8)
@given(st.integers(0, 10_000), probes)
def test_late_images_are_right_images_by_onset(seed, probe):
    cube = random_cube(seed, n=40)
    sign = 1 if probe == "low_pass" else -1  # a high-pass is looked at from the largest radius on
    known = samples(cube).query("probe == @probe and clean_right").dropna(subset="onset")
    table = telling(cube, "late", EVERYONE, probe)
    expected = sorted(zip(-sign * known["onset"], known["image"], strict=True))
    assert list(zip(-sign * table["onset"], table["image"], strict=True)) == expected
    for row in table.itertuples():
        radius = cube[probe]["radius"].values.tolist()
        at = radius.index(row.onset)
        assert row.probability == cube[probe]["probability"].values[row.image, at]
        if not 0 <= at - sign < len(radius):
            assert pd.isna([row.before, row.before_index]).all()
        else:
            winner = cube[probe]["top5_class"].values[row.image, at - sign, 0]
            assert (row.before_index, row.before) == (winner, f"class {winner}")


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 9), min_size=n, max_size=n), min_size=1, max_size=5)
    ),
    probes,
)
def test_the_largest_fall_is_that_of_all_pairs(tenths, probe):
    curves = np.array(tenths) / 10
    for curve, fall, top, foot in zip(curves, *largest_fall(curves, probe), strict=True):
        path = curve if probe == "low_pass" else curve[::-1]
        pairs = [path[i] - path[j] for i, j in itertools.combinations(range(len(path)), 2)]
        assert fall == pytest.approx(max([0.0, *pairs]))
        assert curve[top] - curve[foot] == pytest.approx(fall)
        assert (top <= foot) if probe == "low_pass" else (top >= foot)


def test_the_image_that_falls_most_is_first():
    probability = np.array([[0.1, 0.5, 0.4, 0.9], [0.9, 0.2, 0.8, 0.3], [0.1, 0.2, 0.3, 0.4]])
    cube = make_cube(probability > 0.35, probability=probability)
    table = telling(cube, "nonmonotone")
    assert table["image"].tolist() == [1, 0]
    np.testing.assert_allclose(table["fall"], [0.7, 0.1], rtol=1e-6)
    assert table[["from_radius", "to_radius"]].to_numpy().tolist() == [[10, 20], [20, 30]]
    assert table["winner"].tolist() == ["class 1", "class 0"]
    np.testing.assert_allclose(table[["from_probability", "to_probability"]], [[0.9, 0.2], [0.5, 0.4]], rtol=1e-6)


def laws(betas: list[float], **changes: object):
    """Images whose r50 is 20 zoom^-beta."""
    zooms = np.array([0.5, 1.0, 2.0])
    return law_cube(20 * zooms ** -np.array(betas)[:, None], zooms, octaves=0.5, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("probe", ["low_pass", "high_pass"])
def test_shifts_are_those_planted(probe):
    table = telling(laws([0.3, 1.0, -0.7, 0.0, 0.5]), "shifted", 4, probe)
    assert table["image"].tolist() == [1, 2, 4, 0]
    np.testing.assert_allclose(table["octaves"], [-2.0, 1.4, -1.0, -0.6], atol=0.03)  # two octaves of zoom
    assert table[["from_zoom", "to_zoom"]].to_numpy().tolist() == [[0.5, 2.0]] * 4
    np.testing.assert_allclose(table["from_r50"].iloc[0], 40, rtol=0.02)
    np.testing.assert_allclose(table["to_r50"].iloc[0], 10, rtol=0.02)


def test_a_shift_is_between_the_zooms_that_differ_most():
    zooms = np.array([0.5, 1.0, 2.0])
    row = telling(law_cube(np.array([[20.0, 40.0, 10.0]]), zooms, octaves=0.5), "shifted").iloc[0]
    assert (row["from_zoom"], row["to_zoom"]) == (1.0, 2.0)
    assert row["octaves"] == pytest.approx(-2, abs=0.03)


def test_object_sizes_are_named_so():
    table = telling(laws([1.0], axis="object_size"), "shifted")
    assert table[["from_object_size", "to_object_size"]].to_numpy().tolist() == [[0.5, 2.0]]


def test_what_is_right_when_shifted_is_the_ordinary_crop():
    cube = laws([1.0, 0.5])
    cube["clean_top5_class"].values[1] = [1, 0, 2, 3]
    assert telling(cube, "shifted")["clean_right"].tolist() == [True, False]


def test_zoom_one_is_looked_at_unless_another_is_asked_for():
    small, large = np.array([[0, 1, 1, 1]], dtype=bool), np.array([[0, 0, 0, 1]], dtype=bool)
    cube = stack_zooms({1.0: make_cube(small), 2.0: make_cube(large)})
    assert telling(cube, "late")["onset"].tolist() == [20]
    assert telling(at_zoom(cube, 2), "late")["onset"].tolist() == [40]


@pytest.mark.parametrize("kind", RANKED_BY)
def test_every_table_names_its_images_and_the_number_that_ranks_them(kind):
    cube = laws([0.4, 1.0, 0.7]) if kind == "shifted" else random_cube(5, n=30)
    table = telling(cube, kind, 2)
    assert list(table.columns[:7]) == [*ABOUT, RANKED_BY[kind]]
    assert len(table) == 2
    assert table.equals(telling(cube, kind, EVERYONE).head(2))
    for row in table.itertuples():
        assert row.source == cube["source"].values[row.image]


@pytest.mark.parametrize("kind", ["takeover", "late", "nonmonotone"])
def test_an_image_does_not_depend_on_its_company(kind):
    cube = random_cube(6, n=20)
    order = np.random.default_rng(0).permutation(20)[:12]
    whole, part = (telling(c, kind, EVERYONE).set_index("source") for c in (cube, take_images(cube, order)))
    columns = [column for column in whole if column != "image"]
    assert part[columns].sort_index().equals(whole.loc[sorted(part.index), columns])


def test_images_without_results_are_not_listed():
    right = threshold_curves(np.array([3, 2, 1]), 4)
    cube = make_cube(right, status=np.array(["corrupt: gone", "ok", "ok"], dtype=object))
    assert telling(cube, "late")["image"].tolist() == [1, 2]


def test_nothing_to_tell_is_an_empty_table_with_its_columns():
    cube = make_cube(np.ones((3, 4), dtype=bool))
    for kind in ("takeover", "nonmonotone"):
        table = telling(cube, kind)
        assert len(table) == 0
        assert RANKED_BY[kind] in table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("takeovers",), "kind = 'takeovers': .* one of takeover, .* Did you mean 'takeover'"),
        (("late", 0), "count = 0: it must be 1 or larger"),
        (("late", 3, "low-pass"), "'low-pass': .* are low_pass, high_pass.* Did you mean 'low_pass'"),
        (("shifted",), "compares zooms, and this cube has none"),
    ],
)
def test_what_cannot_be_ranked_is_named(arguments, words):
    with pytest.raises(InputError, match=words):
        telling(random_cube(0, n=5), *arguments)
