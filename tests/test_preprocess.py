import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from bandscope.errors import ImageError, InputError
from bandscope.preprocess import Preprocess, per_channel, timm_resize

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SMALL = Preprocess(size=(8, 6), resize=9, **IMAGENET)


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Random pixels: any difference in a resampling weight or an offset shows."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def ours(preprocess: Preprocess, image: Image.Image) -> torch.Tensor:
    return preprocess.normalise(torch.from_numpy(preprocess.crop(image))[None])[0]


def timm_transforms(config: dict) -> tuple:
    """timm's evaluation transform to 8-bit pixels, and to the normalised tensor."""
    return tuple(create_transform(**config, is_training=False, normalize=normalize) for normalize in (False, True))


def assert_equals_timm(config: dict, image: Image.Image) -> None:
    mode = {1: "L", 3: "RGB"}[config["input_size"][0]]
    pixels, tensor = (transform(image.convert(mode)) for transform in timm_transforms(config))
    preprocess = Preprocess.from_timm(config)
    assert np.array_equal(preprocess.crop(image), pixels.permute(1, 2, 0).numpy())
    assert torch.equal(ours(preprocess, image), tensor)


SIZES = [(500, 375), (375, 500), (301, 299), (224, 224), (256, 256), (255, 1000), (7, 5), (100, 230), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_equals_timm_for_every_shape(size, crop_mode):
    config = {"input_size": (3, 224, 224), "crop_pct": 0.875, "crop_mode": crop_mode, "interpolation": "bicubic"}
    assert_equals_timm(config | IMAGENET, noise(*size))


@settings(max_examples=150)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    crop=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    square=st.booleans(),
    crop_pct=st.sampled_from([0.875, 0.9, 0.95, 1.0, 0.4, 1.2]),
    crop_mode=st.sampled_from(["center", "squash", "border"]),
    interpolation=st.sampled_from(["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]),
    channels=st.sampled_from([1, 3]),
)
def test_equals_timm_property(width, height, crop, square, crop_pct, crop_mode, interpolation, channels):
    sides = (crop[0], crop[0]) if square else crop
    statistics = {name: values[:channels] for name, values in IMAGENET.items()}
    config = {
        "input_size": (channels, *sides),
        "crop_pct": crop_pct,
        "crop_mode": crop_mode,
        "interpolation": interpolation,
        **statistics,
    }
    if any(math.floor(side / crop_pct) < 1 for side in sides):
        with pytest.raises(InputError, match="resize"):
            Preprocess.from_timm(config)
        return
    image = noise(width, height)
    try:
        Preprocess.from_timm(config).crop(image)
    except ImageError:  # too narrow: then timm fails too
        with pytest.raises(ValueError, match="height and width must be > 0"):
            timm_transforms(config)[0](image)
        return
    assert_equals_timm(config, image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (232, 224), (224, 224), (100, 224), (342, 299)])
@pytest.mark.parametrize("interpolation", [InterpolationMode.BILINEAR, InterpolationMode.BICUBIC])
def test_equals_torchvision(size, resize, crop, interpolation):
    preset = ImageClassification(crop_size=crop, resize_size=resize, interpolation=interpolation)
    image = noise(*size)
    assert torch.equal(ours(Preprocess.from_torchvision(preset), image), preset(image))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("channels", [1, 3])
def test_converts_modes_as_the_libraries_loaders_do(mode, channels):
    image = noise(40, 30).convert("RGBA").convert(mode) if mode in ("PA", "RGBa") else noise(40, 30, mode)
    preprocess = Preprocess((30, 40), None, (0.5,) * channels, (0.5,) * channels)
    expected = np.asarray(image.convert("RGB" if channels == 3 else "L")).reshape(30, 40, channels)
    assert np.array_equal(preprocess.crop(image), expected)


@pytest.mark.parametrize("transparency", [3, bytes(range(8))])
def test_a_transparent_palette_keeps_its_colours_and_does_not_warn(transparency):
    image = noise(40, 30).quantize(8)
    expected = np.asarray(image.convert("RGB"))
    image.info["transparency"] = transparency
    assert np.array_equal(Preprocess((30, 40), None, **IMAGENET).crop(image), expected)


def wide(values: np.ndarray, mode: str) -> Image.Image:
    if mode == "I":
        return Image.fromarray(values.astype(np.int32))
    ordered = values.astype(">u2" if mode == "I;16B" else "<u2")
    return Image.frombytes(mode, values.shape[::-1], ordered.tobytes())


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "I;16L"])
def test_sixteen_bits_are_scaled_not_clipped(mode):
    levels = np.arange(0, 65536, dtype=np.int64).reshape(256, 256)
    crop = Preprocess((256, 256), None, (0.5,), (0.5,)).crop(wide(levels, mode))[..., 0]
    assert np.array_equal(crop, np.rint(levels / 257))  # 65535 = 257 * 255
    grey = np.arange(256, dtype=np.int64).reshape(16, 16)
    back = Preprocess((16, 16), None, **IMAGENET).crop(wide(grey * 257, mode))
    assert np.array_equal(back, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("value", [-1, 65536])
def test_greyscale_beyond_sixteen_bits_is_an_image_error(value):
    with pytest.raises(ImageError, match="outside 16 bits"):
        SMALL.crop(Image.fromarray(np.array([[0, value]], dtype=np.int32)))


@pytest.mark.parametrize("mode", ["F", "La"])
def test_a_mode_without_8_bit_meaning_is_an_image_error(mode):
    with pytest.raises(ImageError, match="mode"):
        SMALL.crop(Image.new(mode, (9, 9)))


def test_a_side_that_vanishes_is_an_image_error():
    preprocess = Preprocess.from_timm({"input_size": (3, 16, 16), "crop_mode": "border", **IMAGENET})
    with pytest.raises(ImageError, match="too narrow: 1 x 300"):
        preprocess.crop(noise(1, 300))


def test_exif_orientation_is_left_alone_as_in_timm(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    noise(40, 30).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        assert image.getexif()[0x0112] == 6
        assert_equals_timm({"input_size": (3, 16, 16), "crop_pct": 0.875, **IMAGENET}, image)
        assert np.array_equal(Preprocess((30, 40), None, **IMAGENET).crop(image), np.asarray(noise(40, 30)))


def test_real_images_equal_both_libraries(real_data):
    preset = ImageClassification(crop_size=224)
    config = {"input_size": (3, 224, 224), "crop_pct": 0.9, "interpolation": "bicubic", **IMAGENET}
    for folder in sorted((real_data / "imagenet-500").iterdir())[::100]:
        with Image.open(next(folder.iterdir())) as image:
            assert torch.equal(ours(Preprocess.from_torchvision(preset), image), preset(image.convert("RGB")))
            assert_equals_timm(config, image)


def test_the_crop_is_writable_and_shaped_by_size_and_channels():
    crop = SMALL.crop(noise(40, 30))
    assert crop.shape == (8, 6, 3)
    assert crop.dtype == np.uint8
    assert crop.flags.writeable
    assert Preprocess((8, 6), 9, (0.5,), (0.5,)).crop(noise(40, 30)).shape == (8, 6, 1)


def test_normalise_is_the_formula_in_float32_and_contiguous():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 16, 16, 3)
    batch = Preprocess((16, 16), None, **IMAGENET).normalise(pixels)
    mean, std = (torch.tensor(IMAGENET[name], dtype=torch.float64) for name in ("mean", "std"))
    expected = ((pixels.double() / 255 - mean) / std).permute(0, 3, 1, 2)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    torch.testing.assert_close(batch.double(), expected, rtol=0, atol=1e-6)


def test_padding_is_zero_and_on_the_mean_colour_for_border():
    image = Image.new("RGB", (4, 8), (255, 255, 255))
    centred = Preprocess((8, 8), None, **IMAGENET).crop(image)
    assert np.array_equal(centred[0, :, 0], [0, 0, 255, 255, 255, 255, 0, 0])
    border = Preprocess((8, 8), (8, 8), (0.2, 0.4, 0.6), (1.0, 1.0, 1.0), fit="contain").crop(image)
    assert np.array_equal(border[0, 0], [51, 102, 153])
    assert np.array_equal(border[0, 2], [255, 255, 255])


@given(
    size=st.tuples(st.integers(1, 999), st.integers(1, 999)),
    resize=st.none() | st.integers(1, 999) | st.tuples(st.integers(1, 999), st.integers(1, 999)),
    mean=st.tuples(st.floats(-10, 10)) | st.tuples(*[st.floats(-10, 10)] * 3),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
    fit=st.sampled_from(["squash", "cover", "contain"]),
    rounding=st.sampled_from(["even", "down"]),
)
def test_json_round_trip(size, resize, mean, interpolation, fit, rounding):
    preprocess = Preprocess(size, resize, mean, (0.5,) * len(mean), interpolation, fit, rounding)
    assert Preprocess.from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess


def test_json_says_the_rounding_of_crops_only_where_it_is_not_the_old_one():
    """Stores compare it, and those made before there was a choice go on."""
    assert "crop_rounding" not in SMALL.to_json()
    assert replace(SMALL, crop_rounding="down").to_json()["crop_rounding"] == "down"


@pytest.mark.parametrize(
    ("have", "even", "down"), [(9, 0, 0), (10, 1, 1), (11, 2, 1), (12, 2, 2), (7, 0, -1), (6, -1, -1)]
)
def test_where_a_crop_of_8_starts(have, even, down):
    """Half of 1 and of 3 pixels too many, and of 1 too few."""
    ramp = Image.fromarray(np.arange(1, have + 1, dtype=np.uint8)[None].repeat(8, 0))
    for rounding, start in (("even", even), ("down", down)):
        row = Preprocess((8, 8), None, (0.5,), (0.5,), crop_rounding=rounding).crop(ramp)[0, :, 0]
        assert row.tolist() == [i + 1 if 0 <= i < have else 0 for i in range(start, start + 8)]


def test_channels_count_the_mean():
    assert SMALL.channels == 3
    assert Preprocess((8, 8), None, (0.5,), (0.5,)).channels == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (0, 8)}, "size must be"),
        ({"size": (8, -1)}, "size must be"),
        ({"resize": 0}, "resize must be"),
        ({"resize": (8, 0)}, "resize must be"),
        ({"mean": (0.5, 0.5), "std": (0.5, 0.5)}, "1 or 3 values"),
        ({"mean": (0.5,)}, "1 or 3 values"),
        ({"std": (0.2, 0.0, 0.2)}, "std above 0"),
        ({"mean": (math.nan, 0.0, 0.0)}, "mean must be finite"),
        ({"interpolation": "bicubik"}, "Did you mean 'bicubic'"),
        ({"fit": "squish"}, "Did you mean 'squash'"),
        ({"crop_rounding": "up"}, "must be one of even, down"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    good = {"size": (8, 8), "resize": None, **IMAGENET}
    with pytest.raises(InputError, match=message):
        Preprocess(**(good | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"sizes": [8, 8]}, "no field 'sizes'.*Did you mean 'size'"), ({"size": [8, 0]}, "size must be")],
)
def test_bad_json_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        Preprocess.from_json(SMALL.to_json() | changes)


def test_json_that_lacks_fields_is_refused():
    with pytest.raises(InputError, match="lacks resize, std"):
        Preprocess.from_json({"size": [8, 8], "mean": [0.5]})


@pytest.mark.parametrize("crop_pct", [0.0, -1.0, math.inf, math.nan])
def test_bad_crop_share_is_refused(crop_pct):
    with pytest.raises(InputError, match="crop_pct must be"):
        timm_resize((224, 224), crop_pct, "center")


def test_unknown_crop_mode_is_refused():
    with pytest.raises(InputError, match="Did you mean 'center'"):
        Preprocess.from_timm({"input_size": (3, 8, 8), "crop_mode": "centre", **IMAGENET})


def test_statistics_must_match_the_channels():
    assert per_channel("mean", 0.5, 3) == (0.5, 0.5, 0.5)
    assert per_channel("mean", (0.5, 0.5, 0.5), 1) == (0.5,)
    with pytest.raises(InputError, match=r"mean must have one value a channel \(1\)"):
        Preprocess.from_timm({"input_size": (1, 8, 8), **IMAGENET})


def test_only_the_classification_preset_of_torchvision_is_read():
    with pytest.raises(InputError, match="Identity has no crop_size"):
        Preprocess.from_torchvision(torch.nn.Identity())
