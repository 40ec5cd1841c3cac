import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bandscope as bs
from bandscope.cli.parsing import parse_bands, parse_probes, parse_radii, parse_zoom
from bandscope.conventions import PRESETS, Convention
from bandscope.errors import InputError
from bandscope.probes import (
    ResolvedProbe,
    default_radii,
    filter_passes,
    merged,
    octave_bands,
    resolve,
)

ALL = (
    bs.LowPass((0, 3, 5)),
    bs.HighPass((3, 5, 9)),
    bs.LowPass((3,), "gaussian"),
    bs.HighPass((3, 4), "butterworth"),
    bs.BandPass(((0, 3), (2, 6))),
    bs.BandStop(((2, 6),)),
)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("keep_mean", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (9, 14)])
def test_filter_passes_realise_the_gain_of_every_condition_once(preset, keep_mean, size):
    """Pass, complement and kept mean together are the gain by definition."""
    convention = Convention.named(preset, keep_mean=keep_mean)
    probes = {p.name: p for p in resolve(ALL, size)}
    seen = []
    for one in filter_passes(probes.values()):
        shared = one.gain(size, convention)
        for name, index, complement in one.members:
            gain = 1 - shared if complement else shared.copy()
            if keep_mean:
                gain[0, 0] = 1
            np.testing.assert_allclose(gain, probes[name].gain(index, convention), atol=1e-15)
            seen.append((name, index))
    assert sorted(seen) == sorted((p.name, i) for p in probes.values() for i in range(len(p.cutoffs)))


def test_complements_share_one_transform():
    passes = filter_passes(resolve((bs.LowPass((1, 2, 3)), bs.HighPass((2, 3, 4))), (16, 16)))
    assert len(passes) == 4


def test_cycles_per_pixel_is_cycles_per_image_over_the_short_side():
    probe = bs.LowPass((0.1, 0.5), unit="cycles/pixel").at_size((224, 320))
    np.testing.assert_allclose(probe.coordinates()["radius"], [22.4, 112])
    np.testing.assert_allclose(probe.coordinates()["frequency"], [0.1, 0.5])


def test_default_radii_at_224_are_the_papers_and_finer_ones_below():
    assert parse_radii("paper") == tuple(float(r) for r in range(5, 161, 5))
    assert default_radii((224, 224)) == (1, 2, 3, *parse_radii("paper"))


@given(side=st.integers(1, 600))
def test_default_radii_reach_the_corner(side):
    radii = default_radii((side, side))
    corner = side // 2 * math.sqrt(2)
    assert radii[-1] >= corner - 1e-9
    assert len(radii) <= 48


def test_octaves_reach_the_corner_without_gaps():
    bands = octave_bands((224, 224))
    assert bands[0] == (0, 1)
    assert bands[-1] == (128, 256)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(bands))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:10:5", (0, 5, 10)),
        ("1:2:0.25", (1, 1.25, 1.5, 1.75, 2)),
        ("3", (3,)),
        ("1, 4.5", (1, 4.5)),
        ("2:4", (2, 3, 4)),
    ],
)
def test_radii_from_text(text, expected):
    assert parse_radii(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-1,2", "finite and >= 0"),
        ("nan", "finite and >= 0"),
        ("5,3", "follows 5"),
        ("3,3", "repeated"),
        ("a:b:c", "not a number"),
        ("1:2:3:4", "start:stop:step"),
        ("5:1:1", "start <= stop"),
        ("0:10:0", "step above 0"),
        ("0:1e9:1", "at most 10000"),
        ("", "No radii"),
        (",", "No radii"),
    ],
)
def test_bad_radii_get_one_clear_sentence(text, says):
    with pytest.raises(InputError, match=says):
        parse_radii(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [("5-2", "low < high"), ("1-2,1-2", "repeated"), ("1-2-3", "pair"), ("", "No bands"), ("x-2", "number")],
)
def test_bad_bands_get_one_clear_sentence(text, says):
    with pytest.raises(InputError, match=says):
        parse_bands(text)


def test_probes_from_names():
    probes = parse_probes(
        "low-pass,high-pass-gaussian,band_stop", radii=(1.0, 2.0), bands=None, unit="cycles/image", size=(8, 8)
    )
    assert [p.name for p in probes] == ["low_pass", "high_pass_gaussian", "band_stop"]
    with pytest.raises(InputError, match="Did you mean 'low-pass'"):
        parse_probes("lowpass", radii=None, bands=None, unit="cycles/image", size=(8, 8))
    defaults = parse_probes("low-pass", radii=None, bands=None, unit="cycles/pixel", size=(64, 64))
    np.testing.assert_allclose([high for _, high in resolve(defaults, (64, 64))[0].cutoffs], default_radii((64, 64)))


def test_the_same_probe_twice_is_refused():
    with pytest.raises(InputError, match="low_pass is given twice"):
        resolve((bs.LowPass((1,)), bs.LowPass((2,))), (8, 8))
    with pytest.raises(InputError, match="No probes"):
        resolve((), (8, 8))


def test_merging_keeps_order_and_drops_nothing():
    stored = resolve((bs.LowPass((1, 5)), bs.BandPass(((0, 4),))), (16, 16))
    assert [ResolvedProbe.from_json(p.to_json(), p.size) for p in stored] == list(stored)
    union = {p.name: p for p in merged(stored, resolve((bs.LowPass((3, 5)), bs.HighPass((2,))), (16, 16)))}
    assert [high for _, high in union["low_pass"].cutoffs] == [1, 3, 5]
    assert union["band_pass"].cutoffs == ((0, 4),)
    assert [high for _, high in union["high_pass"].cutoffs] == [2]


def test_scales_on_the_command_line(tmp_path):
    assert parse_zoom(None, None, None, "real") is None
    assert parse_zoom("0.5, 1,2", None, None, "shrink") == bs.Zoom((0.5, 1, 2), None, "shrink")
    boxes = tmp_path / "boxes.csv"
    assert parse_zoom(None, "56,112", boxes, "real") == bs.ObjectSize((56, 112), boxes)
    for arguments, message in [
        (("1,2", "3", None, "real"), "exclude each other"),
        ((None, None, boxes, "real"), "give --zoom or --object-size too"),
        ((None, None, None, "shrink"), "give --zoom or --object-size too"),
        (("1,x", None, None, "real"), "'x' is not a number"),
        ((None, "5", None, "real"), "need boxes"),
        (("0,1", None, None, "real"), "not possible"),
    ]:
        with pytest.raises(InputError, match=message):
            parse_zoom(*arguments)
