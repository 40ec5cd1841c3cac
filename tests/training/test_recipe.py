"""Recipes: the paper's numbers, changes by name, and what is refused."""

from dataclasses import fields

import pytest

from bandscope.errors import InputError
from bandscope.training.recipe import CHECKS, FIELDS, RECIPES, Recipe, parse_settings


def test_the_paper_s_recipe():
    """[Zhang2023, section 4.1], and the augmentation of its code."""
    recipe = Recipe.named("zhang2023")
    assert (recipe.momentum, recipe.batch_size, recipe.weight_decay, recipe.lr) == (0.9, 512, 1e-4, 0.2)
    assert (recipe.warmup_epochs, recipe.epochs, recipe.bn_momentum, recipe.label_smoothing) == (5, 100, 0.1, 0.1)
    assert (recipe.size, recipe.augment, recipe.scale, recipe.interpolation) == (
        224,
        "resized-crop",
        (0.08, 1),
        "bilinear",
    )
    small = Recipe.named("zhang2023-small")
    assert (small.augment, small.padding, small.size) == ("pad-crop", 4, None)
    same = {field.name for field in fields(Recipe)} - {"name", "size", "crop_pct", "mean", "std", "augment"}
    assert all(getattr(small, name) == getattr(recipe, name) for name in same)


def test_every_field_is_checked():
    assert set(CHECKS) == set(FIELDS)


@pytest.mark.parametrize(("batch", "peak"), [(512, 0.2), (256, 0.1), (1024, 0.4)])
def test_the_rate_follows_the_batch(batch, peak):
    assert Recipe.named("zhang2023", batch_size=batch).peak_lr == pytest.approx(peak)
    assert Recipe.named("zhang2023", batch_size=batch, lr_batch=None).peak_lr == 0.2


def test_changes_by_name_keep_the_rest():
    recipe = Recipe.named("zhang2023-small", epochs=30, scale=[0.5, 1])
    assert (recipe.epochs, recipe.scale, recipe.augment) == (30, (0.5, 1), "pad-crop")
    assert recipe.changed(epochs=100, scale=(0.08, 1.0)) == RECIPES["zhang2023-small"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 0.1}, "no field 'learning_rate'"),
        ({"epoch": 3}, "Did you mean 'epochs'?"),
        ({"name": "mine"}, "no field 'name'"),
        ({"epochs": 0}, "epochs=0 is not possible; it must be a whole number above 0"),
        ({"epochs": 2.5}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"epochs": 3}, "warmup_epochs=5.0 is more than epochs=3"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"lr": "fast"}, "lr='fast'"),
        ({"momentum": 1}, "below 1"),
        ({"scale": (0.5, 0.1)}, "low <= high"),
        ({"scale": 0.5}, "two numbers"),
        ({"augment": "cutmix"}, "resized-crop, pad-crop, none"),
        ({"interpolation": "bilinaer"}, "bilinear"),
        ({"size": (32,)}, "side in pixels"),
        ({"mean": None}, "belong together"),
        ({"std": (0.2, 0.2, 0.0)}, "above 0"),
        ({"flip": 2}, "probability"),
        ({"ema": 1.0}, "below 1"),
    ],
)
def test_refused(changes, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(").replace("?", r"\?")):
        Recipe.named("zhang2023", **changes)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'zhang2023"):
        Recipe.named("zhang2032")


def test_settings_of_the_command_line():
    settings = parse_settings(["lr=0.1", "flip = none", "scale=0.25,1", "augment=none", "epochs=3", "size=(32,48)"])
    assert settings == {"lr": 0.1, "flip": None, "scale": (0.25, 1), "augment": None, "epochs": 3, "size": (32, 48)}
    for bad in ("lr", "=3", "lr="):
        with pytest.raises(InputError, match="field=value"):
            parse_settings([bad])
    with pytest.raises(InputError, match="twice"):
        parse_settings(["lr=1", "lr=2"])
