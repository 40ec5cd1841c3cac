"""What objects say of themselves in a console and in a notebook."""

import math
import re
from pathlib import Path

import pandas as pd
import pytest

import bandscope as bs
from bandscope.classifiers.torch_classifier import FunctionClassifier
from bandscope.training import Trained

CLASSES = (bs.ClassLabel("<b>bold</b>"), bs.ClassLabel("b"))
PREPROCESS = bs.Preprocess((32, 48), 40, (0.5,), (0.5,))


def folder(root: Path) -> Path:
    for name in ("cat", "dog"):
        (root / name).mkdir()
        (root / name / "0.png").write_bytes(b"")
    return root


def test_probes_tell_their_cutoffs_and_family() -> None:
    assert repr(bs.LowPass([1, 2.5])) == "<LowPass: radii 1, 2.5 cycles/image, ideal>"
    many = bs.HighPass(range(1, 47), "gaussian")
    assert repr(many) == "<HighPass: 46 radii from 1 to 46 cycles/image, gaussian>"
    assert repr(bs.BandPass([(0, 8), (8, 16)])) == "<BandPass: bands 0 to 8, 8 to 16 cycles/image>"
    assert repr(bs.BandStop([(0, 0.1)], unit="cycles/pixel")) == "<BandStop: bands 0 to 0.1 cycles/pixel>"


def test_classifiers_tell_model_classes_input_and_size() -> None:
    planted = bs.load_classifier("planted")
    assert repr(planted) == "<TorchClassifier: planted, 9 classes, 64 x 64 pixels, 48,185 parameters>"
    html = planted._repr_html_()
    for told in ("planted", "interpolation lanczos", str(planted.provenance["weights_sha256"])):
        assert told in html
    unknown = FunctionClassifier(lambda batch: batch, "mine", PREPROCESS, None, {})
    assert repr(unknown) == "<FunctionClassifier: mine, classes unknown, 32 x 48 pixels>"


def test_image_sets_tell_data_images_and_classes(tmp_path: Path) -> None:
    assert repr(bs.load_source("planted?per_class=2")) == "<Planted: planted?per_class=2, 18 images, 9 classes>"
    source = bs.load_source(f"folder:{folder(tmp_path)}")
    assert repr(source) == f"<Folder: folder:{tmp_path}, 2 images, 2 classes>"
    assert "cat, dog" in source._repr_html_()


def test_recipes_and_trainings_fit_a_line(tmp_path: Path) -> None:
    recipe = bs.Recipe(epochs=1, warmup_epochs=0, size=(32, 48))
    first, last = "zhang2023, 1 epoch, batches of 512", "crops of 32 x 48 pixels, augment resized-crop"
    assert repr(recipe) == f"<Recipe: {first}, learning rate 0.2, {last}>"
    assert "the images' own size" in repr(bs.Recipe(size=None))
    for told in ("label_smoothing", "0.0001"):
        assert told in recipe._repr_html_()
    history = pd.DataFrame({"epoch": [1, 2]})
    made = Trained(tmp_path, tmp_path / "b", tmp_path / "l", recipe, history, 2, 0.75, 0.5)
    assert repr(made) == f"<Trained: {tmp_path / 'b'}, 2 epochs, 75.0% right in epoch 2, 50.0% in the last>"
    without = Trained(tmp_path, tmp_path / "b", tmp_path / "l", recipe, history, 2, math.nan, math.nan)
    assert repr(without).endswith("2 epochs, not validated>")


def test_comparisons_tell_models_images_and_tables() -> None:
    cube = bs.audit("planted", "planted?per_class=2", probes=[bs.LowPass([4, 20])], threads=1).load()
    comparison = bs.compare({"one": cube, "two": cube})
    assert re.fullmatch(r"<Comparison: one, two, 18 common images, tables clean, .*>", repr(comparison))
    assert repr(comparison.common) == "<Common: one, two, 18 common images, low_pass>"
    assert "\n" not in repr(comparison)


@pytest.mark.parametrize("name", ["<script>", "two\nlines"])
def test_names_stay_texts_and_on_one_line(name: str) -> None:
    told = FunctionClassifier(lambda batch: batch, name, PREPROCESS, CLASSES, {"note": name})
    assert "\n" not in repr(told)
    assert "<script>" not in told._repr_html_()


def test_a_half_made_object_can_still_be_shown() -> None:
    """As in a traceback of its own constructor."""
    assert "FunctionClassifier object" in repr(object.__new__(FunctionClassifier))
