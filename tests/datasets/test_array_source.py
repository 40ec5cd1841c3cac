"""Images in memory as a source: what the network sees of them, what is refused, what changes the fingerprint."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import bandscope as bs
from bandscope.errors import DataError, InputError

LABELS = [0, 1, 1]
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)


def test_arrays_lists_and_pictures_are_the_same_images() -> None:
    sources = [bs.ArraySource(images, LABELS) for images in (PIXELS, [*PIXELS], [*map(Image.fromarray, PIXELS)])]
    for source in sources:
        np.testing.assert_array_equal([np.asarray(source[k]) for k in range(len(source))], PIXELS)
        assert (*source.paths,) == ("0", "1", "2")
    assert len({source.fingerprint() for source in sources}) == 1
    assert repr(sources[0]) == "<ArraySource: arrays, 3 images, 2 classes>"
    assert isinstance(sources[0], bs.datasets.ImageSource)


def test_grey_images_and_sizes_of_their_own() -> None:
    grey = bs.ArraySource(PIXELS[..., 0], LABELS)
    assert grey[2].mode == "L"
    np.testing.assert_array_equal(np.asarray(grey[-1]), PIXELS[2, ..., 0])
    np.testing.assert_array_equal(np.asarray(bs.ArraySource(PIXELS[..., :1], LABELS)[1]), PIXELS[1, ..., 0])
    mixed = bs.ArraySource([PIXELS[0], Image.new("P", (3, 2)), PIXELS[2, :4, :, 0]], LABELS)
    assert [mixed[k].size for k in range(3)] == [(5, 6), (3, 2), (5, 4)]


def test_classes_are_named_or_stand_for_outputs() -> None:
    assert [label.name for label in bs.ArraySource(PIXELS, [0, 3, 3]).classes] == ["0", "1", "2", "3"]
    named = bs.ArraySource(PIXELS, torch.tensor(LABELS), ["n01440764 tench", bs.ClassLabel("b, c")])
    assert named.classes == (bs.ClassLabel("tench", "n01440764"), bs.ClassLabel("b, c"))


@pytest.mark.parametrize("change", ["pixel", "label", "class", "path", "order"])
def test_whatever_is_audited_is_in_the_fingerprint(change: str) -> None:
    pixels, settings = PIXELS.copy(), {"labels": LABELS, "classes": ["a", "b"], "paths": ["x", "y", "z"]}
    before = bs.ArraySource(pixels, **settings).fingerprint()
    match change:
        case "pixel":
            pixels[1, 2, 3, 0] ^= 1
        case "label":
            settings["labels"] = [0, 0, 1]
        case "class":
            settings["classes"] = ["a", "c"]
        case "path":
            settings["paths"] = ["x", "y", "w"]
        case "order":
            pixels = pixels[[0, 2, 1]]
    assert bs.ArraySource(pixels, **settings).fingerprint() != before


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PIXELS / 255, r"dtype float64; allowed: one uint8 array .*\(255 \* images\)"),
        (np.moveaxis(PIXELS, -1, 1), r"shape \(3, 6, 5\); .*np.moveaxis\(images, 1, -1\)"),
        (torch.from_numpy(PIXELS), r"given as Tensor; .*permute\(0, 2, 3, 1\)"),
        ([PIXELS[0], PIXELS[1], "x.png"], "Image 2 is of type str"),
        ([PIXELS[0], PIXELS[1] > 3, PIXELS[2]], "Image 1 is of dtype bool"),
        (PIXELS[0, 0], r"shape \(3,\)"),
        (PIXELS[..., [0, 1, 2, 0]], r"shape \(6, 5, 4\)"),
        (np.uint8(1), "given as uint8"),
        (np.array(1), "given as ndarray"),
        (iter(PIXELS), "given as generator|given as iterator"),
        (PIXELS[:0], "No images"),
        ("folder:x", "given as str"),
    ],
)
def test_what_are_no_images_is_refused(images: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        bs.ArraySource(images, LABELS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": [0, 1]}, "3 images but 2 labels"),
        ({"labels": [0, 1, 1.5]}, "dtype float64"),
        ({"labels": ["a", "b", "c"]}, "allowed: a whole number"),
        ({"labels": [True, False, True]}, "dtype bool"),
        ({"labels": [[0], [1], [1]]}, r"shape \(3, 1\)"),
        ({"labels": [0, 1, -1]}, "unlabelled"),
        ({"labels": [0, 1, 2], "classes": ["a", "b"]}, "'2' are outside the classes, 0 to 1"),
        ({"labels": [0, 1, 10**9]}, "outside the classes"),
        ({"labels": LABELS, "paths": ["a", "b"]}, "3 images but 2 paths"),
        ({"labels": LABELS, "paths": ["a", "b", "a"]}, "'a' stand for several"),
    ],
)
def test_what_does_not_fit_the_images_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        bs.ArraySource(PIXELS, **settings)


def test_an_audit_of_arrays_is_that_of_the_images_and_can_be_shown_again(tmp_path: Path) -> None:
    planted = bs.load_source("planted?per_class=2")
    arrays = np.stack([np.asarray(image) for image in map(planted.__getitem__, range(len(planted)))])
    source = bs.ArraySource(arrays, planted.labels)
    probes, settings = [bs.LowPass([4, 30])], {"threads": 1}
    expected = bs.audit("planted", planted, probes=probes, **settings)
    found = bs.audit("planted", source, probes=probes, **settings)
    for name in ("probability", "top5_class"):
        np.testing.assert_array_equal(found["low_pass"][name], expected["low_pass"][name])
    assert found.attrs["data"] == {"spec": "arrays", "images": 18, "fingerprint": source.fingerprint()}
    bare = bs.sample_figure(found, 3)
    assert any(
        "'arrays' was given in Python" in text.get_text() for text in bare.findobj(lambda a: hasattr(a, "get_text"))
    )
    assert len(bs.sample_figure(found, 3, source=source).axes) > len(bare.axes)
    assert bs.write_report(found, tmp_path / "report.html", source=source).notes == ()
    assert "given in Python" in bs.write_report(found, tmp_path / "report.html").notes[0]


def test_fewer_classes_than_outputs_are_matched_when_asked() -> None:
    source = bs.ArraySource(PIXELS, [0, 4, 4])
    with pytest.raises(DataError, match="match by index"):
        bs.audit("planted", source)
    found = bs.audit("planted", source, probes=[bs.LowPass([4])], match="index", threads=1)
    assert found["label"].values.tolist() == [0, 4, 4]


def test_images_without_labels_lead_to_the_class() -> None:
    with pytest.raises(InputError, match=r"given as ndarray, not a spec.*ArraySource\(images, labels\)"):
        bs.audit("planted", PIXELS)  # type: ignore[arg-type]
