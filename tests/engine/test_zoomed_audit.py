"""Audits with a scale dimension: what each zoom shows, costs and stores."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import xarray as xr
from fakes import PREPROCESS, FakeClassifier, FakeSource, files_of
from PIL import Image

import bandscope as bs
from bandscope.api import audit
from bandscope.errors import DataError, InputError, StoreError

PROBES = (bs.LowPass((0, 2, 5, 90)), bs.HighPass((2, 5)), bs.BandPass(((1, 4),)))
GROUPS = ("low_pass", "high_pass", "band_pass")
ZOOMS = (0.5, 1.0, 1.7)


class LargeSource(FakeSource):
    """Images of other shapes than the crop, so that zooms have more and less than it to show."""

    def __getitem__(self, position: int) -> Image.Image:
        super().__getitem__(position)
        height, width = 30 + position % 3, 44 - position % 5
        return Image.fromarray(np.random.default_rng(position).integers(0, 256, (height, width, 3), dtype=np.uint8))


def run(source=None, classifier=None, **kwargs) -> xr.DataTree:
    settings = {"probes": PROBES, "batch_size": 4, "zoom": ZOOMS, **kwargs}
    return audit(classifier or FakeClassifier(), source or LargeSource(), **settings)


def test_zoom_1_equals_the_audit_without_zoom_bit_for_bit():
    plain, zoomed = run(zoom=None), run()
    for group in GROUPS:
        for name, values in plain[group].data_vars.items():
            np.testing.assert_array_equal(zoomed[group][name].sel(zoom=1).values, values.values)
    for name in ("status", "clean_probability", "clean_margin", "clean_top5_class", "clean_top5_probability"):
        np.testing.assert_array_equal(zoomed[name].values, plain[name].values)
    for name in ("probability", "margin", "top5_class", "top5_probability"):
        at_one = zoomed["all_pass"][name].sel(zoom=1).values
        np.testing.assert_array_equal(at_one, plain[f"clean_{name}"].values)


def test_every_zoom_equals_an_audit_of_images_that_were_cropped_by_hand():
    source = LargeSource()

    class Cropped(FakeSource):
        zoom: float

        def __getitem__(self, position: int) -> Image.Image:
            return Image.fromarray(PREPROCESS.view(source[position], self.zoom).pixels)

    cube = run(source)
    assert cube["low_pass"]["probability"].dims == ("image", "zoom", "radius")
    assert cube["low_pass"]["top5_class"].dims == ("image", "zoom", "radius", "rank")
    for place, Cropped.zoom in enumerate(ZOOMS):
        alone = run(Cropped(), zoom=None)
        for group in GROUPS:
            for name, values in alone[group].data_vars.items():
                np.testing.assert_array_equal(cube[group][name].isel(zoom=place).values, values.values)
        np.testing.assert_array_equal(
            cube["all_pass"]["probability"].isel(zoom=place).values, alone["clean_probability"].values
        )


def test_achieved_zoom_and_padded_share_are_stored():
    source = LargeSource()
    cube = run(source)
    for i in range(len(source)):
        for zoom in ZOOMS:
            view = PREPROCESS.view(source[i], zoom)
            at = cube["all_pass"].sel(zoom=zoom).isel(image=i)
            assert at["achieved"].item() == np.float32(view.achieved)
            assert at["padded"].item() == np.float32(view.padded)
    assert cube.attrs["zoom"] == {"axis": "zoom", "outside": "real", "boxes": None, "values": list(ZOOMS)}
    assert cube["zoom"].attrs["units"] == "factor"


def test_cost_grows_by_the_forward_passes_alone():
    classifier, opened = FakeClassifier(), []
    run(LargeSource(11, killer=opened.append), classifier)
    conditions = 6  # without the low-pass beyond the corner
    passes = 1 + len(ZOOMS) * conditions + len(ZOOMS) - 1  # zoom 1 without a filter is the clean image
    assert classifier.batches[1:] == [4] * 3 * passes
    assert sorted(opened) == list(range(11))


def test_without_zoom_1_the_clean_image_is_still_the_ordinary_crop():
    plain, zoomed = run(zoom=None), run(zoom=(0.5, 2))
    np.testing.assert_array_equal(zoomed["clean_probability"].values, plain["clean_probability"].values)


def test_a_failed_image_counts_at_no_zoom():
    cube = run(LargeSource(9, corrupt=[4]))
    assert cube["status"].values[4] == "corrupt: truncated file"
    assert np.isnan(cube["all_pass"]["achieved"].values[4]).all()
    assert np.isnan(cube["low_pass"]["probability"].values[4]).all()
    assert (cube["high_pass"]["top5_class"].values[4] == -1).all()
    assert not np.isnan(np.delete(cube["low_pass"]["probability"].values, 4, axis=0)).any()


def test_a_non_finite_output_says_under_which_zoom():
    calls = []

    def spoil(batch, logits):
        calls.append(len(batch))
        return torch.full_like(logits, torch.nan) if len(calls) == 4 else logits  # probe, clean, zoom 0.5, ...

    cube = run(LargeSource(3), FakeClassifier(spoil), probes=(bs.LowPass((2,)),), zoom=(0.5, 1))
    assert set(cube["status"].values) == {"non-finite: the classifier's output for low_pass radius 2 at zoom 0.5"}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"zoom": (1, 1.7)}, {"zoom": (0.5, 1.7), "probes": (bs.LowPass((0, 2, 5, 90)),)}),
        ({"zoom": None}, {"zoom": ZOOMS}),
        ({"zoom": (0.5, 1.0), "probes": (bs.LowPass((2,)),)}, {}),
        ({"probes": (bs.LowPass((0, 5)), bs.BandPass(((1, 4),)))}, {"zoom": None}),
        ({"probes": (bs.HighPass((2, 5)),)}, {"probes": (bs.LowPass((0, 2, 5, 90)), bs.BandPass(((1, 4),)))}),
        ({"zoom": None, "probes": (bs.LowPass((90,)),)}, {}),
    ],
    ids=[
        "zooms",
        "from-no-zoom",
        "both",
        "probes-at-all-stored-zooms",
        "beyond-the-corner",
        "both-beyond-the-corner",
    ],
)
def test_an_extended_store_equals_one_made_at_once(tmp_path, first, then):
    source = LargeSource(9, corrupt=[2])
    run(source, out=tmp_path / "grown.zarr", **first)
    cube = run(source, out=tmp_path / "grown.zarr", extend=True, **then)
    whole = run(source, out=tmp_path / "whole.zarr", **({} if cube.sizes["zoom"] == 3 else {"zoom": (1, 1.7)}))
    grown, whole = files_of(tmp_path / "grown.zarr"), files_of(tmp_path / "whole.zarr")
    assert {k: v for k, v in grown.items() if ".blocks" not in k} == {
        k: v for k, v in whole.items() if ".blocks" not in k
    }


def test_extending_computes_nothing_twice(tmp_path):
    out, classifier = tmp_path / "a.zarr", FakeClassifier()
    run(LargeSource(4), out=out, zoom=(1, 2), probes=(bs.LowPass((2,)),))
    run(LargeSource(4), classifier, out=out, zoom=(1, 2, 3), probes=(bs.LowPass((2, 5)),), extend=True)
    new = 2 + 1 + 2  # radius 5 at zooms 1 and 2; zoom 3 without a filter and at two radii
    assert classifier.batches[1:] == [4] * new


def test_stored_zooms_are_adopted_and_new_ones_refused(tmp_path):
    run(out=tmp_path / "a.zarr")
    classifier = FakeClassifier()
    run(classifier=classifier, out=tmp_path / "a.zarr", zoom=None)
    assert classifier.batches == [1]
    with pytest.raises(StoreError, match=r"zoom 3.*--extend"):
        run(out=tmp_path / "a.zarr", zoom=(1, 3))
    with pytest.raises(StoreError, match=r"zoom.outside: shrink asked, real stored"):
        run(out=tmp_path / "a.zarr", zoom=bs.Zoom(ZOOMS, outside="shrink"))


def test_a_killed_run_with_zoom_ends_bit_identical(tmp_path):
    program = textwrap.dedent(f"""
        import os, sys, signal
        sys.path.insert(0, {str(__file__).rsplit("/", 1)[0]!r})
        import test_zoomed_audit as t, bandscope as bs
        die = lambda position: position == 70 and os.kill(os.getpid(), signal.SIGKILL)
        t.run(t.LargeSource(90, killer=die), probes=(bs.LowPass((2, 5)),), out={str(tmp_path / "killed.zarr")!r})
    """)
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    for name in ("killed", "whole"):
        run(LargeSource(90), probes=(bs.LowPass((2, 5)),), out=tmp_path / f"{name}.zarr")
    assert files_of(tmp_path / "killed.zarr") == files_of(tmp_path / "whole.zarr")


def boxes_csv(path, boxes: dict[str, tuple[float, ...]]):
    rows = [f"{source},{','.join(map(str, box))}" for source, box in boxes.items()]
    path.write_text("\n".join(["source,x0,y0,x1,y1", *rows]))
    return path


def test_boxes_centre_the_crop_and_object_sizes_bring_objects_to_them(tmp_path):
    source = LargeSource(5)
    box = {i: (4 + i, 6, 14 + 2 * i, 22) for i in range(5)}
    file = boxes_csv(tmp_path / "boxes.csv", {f"{i}.png": b for i, b in box.items()})
    cube = run(source, zoom=bs.ObjectSize((8, 16), boxes=file))
    assert cube["low_pass"]["margin"].dims == ("image", "object_size", "radius")
    assert cube["object_size"].attrs["units"] == "pixels"
    for i, (x0, y0, x1, y1) in box.items():
        size = np.sqrt((x1 - x0) * (y1 - y0))
        for wanted in (8, 16):
            achieved = cube["all_pass"]["achieved"].sel(object_size=wanted).values[i]
            assert achieved == pytest.approx(wanted, rel=0.03)  # whole pixels: half of one in 20
            assert cube["all_pass"]["object_pixels"].sel(object_size=wanted).values[i] == np.float32(achieved)
            view = PREPROCESS.view(source[i], wanted / size, box=box[i])
            assert cube["all_pass"]["padded"].sel(object_size=wanted).values[i] == np.float32(view.padded)
    sampled = run(
        source, zoom=bs.ObjectSize((8, 16), boxes=file), limit=2
    )  # boxes of all images, two of them audited
    kept = [list(cube["source"].values).index(path) for path in sampled["source"].values]
    for name in ("probability", "achieved"):
        np.testing.assert_array_equal(sampled["all_pass"][name].values, cube["all_pass"][name].values[kept])
    centred = run(source, zoom=bs.Zoom((1, 1.7), boxes=file))
    classifier = FakeClassifier()
    for i in range(5):
        pixels = torch.from_numpy(PREPROCESS.view(source[i], 1.7, box=box[i]).pixels)[None]
        logits = classifier.network(PREPROCESS.normalise(pixels))[0].detach()
        assert centred["all_pass"]["top5_class"].sel(zoom=1.7).values[i, 0] == logits.argmax()
    assert centred.attrs["zoom"]["boxes"]["fingerprint"]
    sizes = [np.sqrt((x1 - x0) * (y1 - y0)) for x0, y0, x1, y1 in box.values()]
    at_zoom = centred["all_pass"].sel(zoom=1.7)
    np.testing.assert_allclose(at_zoom["object_pixels"], at_zoom["achieved"] * sizes, rtol=1e-6)
    assert np.isnan(run(source, zoom=(1, 1.7))["all_pass"]["object_pixels"].values).all()


def test_bad_scales_and_boxes_are_refused_before_any_work(tmp_path):
    for zoom, message in [
        ((0, 1), "zoom 0 is not possible"),
        ((-1,), "zoom -1 is not possible"),
        ((float("nan"),), "not possible"),
        ((2, 1), "strictly increasing"),
        ((1, 1), "strictly increasing"),
        ((), "No zoom was given"),
    ]:
        with pytest.raises(InputError, match=message):
            run(zoom=zoom)
    cube = run(LargeSource(2), zoom=(2000,))  # without a resize there is no side to refuse
    assert all("more than" in status for status in cube["status"].values)
    with pytest.raises(InputError, match="at most 16384"):
        audit("planted", "planted", limit=2, zoom=(1, 1000))
    with pytest.raises(InputError, match="need boxes"):
        bs.ObjectSize((5,))
    with pytest.raises(InputError, match="outside 'left'"):
        bs.Zoom((1,), outside="left")
    file = boxes_csv(tmp_path / "some.csv", {"1.png": (1, 1, 9, 9)})
    with pytest.raises(DataError, match=r"10 of 11 images have no box.*0\.png"):
        run(zoom=bs.ObjectSize((8,), boxes=file))
    outside = boxes_csv(tmp_path / "outside.csv", {f"{i}.png": (1, 1, 900, 9) for i in range(11)})
    with pytest.raises(DataError, match=r"0\.png lies outside its image"):
        run(zoom=bs.Zoom((1, 2), boxes=outside))
