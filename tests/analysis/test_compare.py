"""The comparison holds the tables of every model, each as it is alone on the common images."""

import numpy as np
import pandas as pd
import pytest
from model_pairs import changed, planted_pair, with_outputs
from planted_cubes import law_cube, random_cube, take_images

from bandscope.analysis import (
    at_zoom,
    band_differences,
    bands,
    clean,
    compare,
    curves,
    differences,
    scale_law,
    wins,
)
from bandscope.analysis.statistics import Bootstrap
from bandscope.errors import InputError

SETTINGS = {"resamples": 100, "seed": 3}


def test_every_model_has_its_tables_on_the_common_images():
    pair = planted_pair(n=80)
    common = np.arange(15, 60)
    found = compare(
        {"A": take_images(pair["A"], np.arange(60)), "B": take_images(pair["B"], np.arange(79, 14, -1))}, **SETTINGS
    )
    for name, cube in pair.items():
        alone = take_images(cube, common)
        for table, expected in (
            (found.clean, clean(alone)),
            (found.curves, curves(alone, **SETTINGS)),
            (found.bands, bands(alone, **SETTINGS)),
        ):
            assert next(iter(table)) == "model"
            mine = table[table["model"] == name].drop(columns="model").reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, expected)


def test_differences_are_those_of_their_own_functions():
    pair = planted_pair(n=80)
    found = compare(pair, "class", alpha=0.2, **SETTINGS)
    assert found.differences.equals(differences(pair, "class", **SETTINGS))
    assert found.band_differences.equals(band_differences(pair, "class", **SETTINGS))
    assert found.wins.equals(wins(found.differences, alpha=0.2))
    assert found.bootstrap == Bootstrap(0.95, 100, 3)
    assert found.alpha == 0.2


def test_groups_are_the_baselines_whatever_the_other_models_outputs():
    pair = planted_pair(n=80)
    turned = {"A": pair["A"], "B": with_outputs(pair["B"], np.array([3, 2, 0, 1]))}
    for by in ("class", {0: "x", 2: "x", 3: "y"}):
        left, right = compare(pair, by, **SETTINGS), compare(turned, by, **SETTINGS)
        for name, table in left.tables().items():
            pd.testing.assert_frame_equal(table, right.tables()[name], obj=name)


def test_scale_laws_stand_side_by_side_where_all_have_zooms():
    zooms, rng = np.array([0.5, 1.0, 2.0, 4.0]), np.random.default_rng(0)
    centre = 12 * np.exp(rng.normal(0, 0.2, (40, 1)))
    follows, stays = (law_cube(centre * zooms**-beta, zooms) for beta in (1.0, 0.0))
    found = compare({"follows": follows, "stays": stays}, **SETTINGS).scale_laws
    low = found[found["probe"] == "low_pass"].set_index("model")
    assert low["beta"].to_dict() == pytest.approx({"follows": 1, "stays": 0}, abs=0.05)
    expected = scale_law(follows, **SETTINGS)
    pd.testing.assert_frame_equal(found[found["model"] == "follows"].drop(columns="model"), expected)
    assert len(compare([follows, at_zoom(stays)], **SETTINGS).scale_laws) == 0


def test_a_class_of_many_is_compared_alone():
    cube = random_cube(1, n=200, classes=50)
    other = changed(random_cube(2, n=200, classes=50), source=cube["source"].values, label=cube["label"].values)
    found = compare([cube, other], "class", **SETTINGS)
    counts = np.bincount(cube["label"].values, minlength=50)
    used = found.clean[found.clean["model"] == "model 1"].set_index("class_index")["n"]
    assert used.to_dict() == {k: n for k, n in enumerate(counts) if n}
    few = found.differences[found.differences["n"] < 5]
    assert set(few["reason"]) <= {f"{k} image{'s' * (k > 1)}: at least 5 are needed" for k in range(1, 5)}


@pytest.mark.parametrize("setting", [{"alpha": 0.0}, {"confidence": 95.0}, {"resamples": 3}])
def test_impossible_settings_are_refused(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        compare([random_cube(3), random_cube(3)], **setting)
