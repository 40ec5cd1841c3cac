import pytest
import timm
from hypothesis import given
from hypothesis import strategies as st
from timm.data import resolve_data_config

from bandscope.classifiers.overrides import complete, override, override_config
from bandscope.errors import InputError
from bandscope.preprocess import Preprocess

BASE = Preprocess((224, 224), 256, (0.4, 0.5, 0.6), (0.1, 0.2, 0.3))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, {}),
        ({"mean": 0.5}, {"mean": (0.5, 0.5, 0.5)}),
        ({"std": [0.5, 0.6, 0.7]}, {"std": (0.5, 0.6, 0.7)}),
        ({"interpolation": "bicubic"}, {"interpolation": "bicubic"}),
        ({"crop_pct": 1.0}, {"resize": 224}),
        ({"crop_pct": 0.9}, {"resize": 248}),
        ({"resize": 300}, {"resize": 300}),
        ({"resize": None}, {"resize": None}),
        ({"resize": [300, 200], "fit": "cover"}, {"resize": (300, 200), "fit": "cover"}),
        ({"crop_mode": "squash"}, {"resize": (256, 256)}),
        ({"crop_mode": "border", "crop_pct": 1.0}, {"resize": (224, 224), "fit": "contain"}),
        ({"input_size": 112}, {"size": (112, 112), "resize": 128}),
        ({"size": (112, 224)}, {"size": (112, 224), "resize": 128}),
        ({"input_size": (3, 448, 448)}, {"size": (448, 448), "resize": 512}),
        ({"input_size": 112, "resize": 112}, {"size": (112, 112), "resize": 112}),
        ({"input_size": 112, "crop_pct": 0.5}, {"size": (112, 112), "resize": 224}),
        ({"mean": 0.5, "std": 0.5, "input_size": (1, 28, 28)}, {"size": (28, 28), "resize": 32, "mean": (0.5,)}),
    ],
)
def test_overrides_replace_what_they_name(overrides, expected):
    changed = override(BASE, overrides)
    assert {name: getattr(changed, name) for name in expected} == expected
    untouched = {"size", "resize", "mean", "std", "interpolation", "fit"} - set(expected) - {"std"}
    assert all(getattr(changed, name) == getattr(BASE, name) for name in untouched)


@given(st.integers(1, 600), st.sampled_from([256, (256, 256), None]))
def test_a_new_size_sees_the_same_share_of_the_image(side, resize):
    base = Preprocess((224, 224), resize, (0.5,), (0.5,))
    changed = override(base, {"input_size": side})
    if resize is None:
        assert changed.resize is None
        return
    new = changed.resize if isinstance(changed.resize, int) else changed.resize[0]
    assert abs(new - side * 256 / 224) <= 0.5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"mean": "grey"}, "mean must be a number, or one a channel; given: 'grey'"),
        ({"mean": None}, "mean must be a number"),
        ({"std": (0.1, 0.2, "x")}, "std must be a number"),
        ({"std": 1j}, "std must be a number"),
        ({"crop_pct": "all"}, "crop_pct must be a number, such as 0.875; given: 'all'"),
        ({"crop_pct": [1, 2]}, "crop_pct must be a number, such"),
        ({"men": 0.5}, "no setting 'men'.*Did you mean 'mean'"),
        ({"input_size": 8, "size": 8}, "input_size and size say the same"),
        ({"crop_pct": 0.9, "resize": 8}, "crop_pct and resize say the same"),
        ({"crop_mode": "squash", "fit": "squash"}, "crop_mode and fit say the same"),
        ({"input_size": "large"}, "input_size must be"),
        ({"input_size": (1, 2, 3, 4)}, "input_size must be"),
        ({"mean": (0.5, 0.6)}, "std must have one value a channel"),
        ({"mean": (0.5, 0.6), "input_size": (3, 8, 8)}, "mean must have one value a channel"),
        ({"crop_pct": 0}, "crop_pct must be a positive number"),
        ({"crop_mode": "centre"}, "Did you mean 'center'"),
        ({"interpolation": "cubic"}, "Did you mean 'bicubic'"),
        ({"input_size": -3}, "size must be"),
        ({"input_size": (4, 8, 8)}, "mean must have one value a channel"),
    ],
)
def test_bad_overrides_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        override(BASE, overrides)


@given(
    side=st.integers(16, 512),
    crop_pct=st.sampled_from([0.875, 0.9, 0.95, 1.0]),
    name=st.sampled_from(["test_vit", "mobilenetv1_100", "resnet50", "efficientnet_b0"]),
)
def test_timm_overrides_equal_timms_own_resolution(side, crop_pct, name):
    config = timm.get_pretrained_cfg(name).to_dict()
    args = {"input_size": (3, side, side), "crop_pct": crop_pct, "mean": (0.5,), "interpolation": "bilinear"}
    expected = resolve_data_config(args, pretrained_cfg=config)
    given = {"input_size": side, "crop_pct": crop_pct, "mean": 0.5, "interpolation": "bilinear"}
    ours = override_config(resolve_data_config({}, pretrained_cfg=config), given)
    assert Preprocess.from_timm(ours) == Preprocess.from_timm(expected)


def test_complete_builds_a_preprocess_from_overrides_alone():
    given = {"mean": (0.5, 0.6, 0.7), "std": 0.5, "crop_pct": 0.875, "input_size": 224, "interpolation": "bicubic"}
    assert complete(given, None, None) == Preprocess((224, 224), 256, (0.5, 0.6, 0.7), (0.5,) * 3, "bicubic")
    fixed = complete({"mean": 0.5, "std": 0.5, "resize": None}, (28, 28), 1)
    assert fixed == Preprocess((28, 28), None, (0.5,), (0.5,))
    grey = complete({"mean": 0.5, "std": 0.5, "resize": 9, "size": (1, 8, 8)}, None, None)
    assert grey.channels == 1


def test_complete_assumes_nothing():
    with pytest.raises(InputError, match="mean, std, crop_pct or resize, input_size missing"):
        complete({}, None, None)
    with pytest.raises(InputError, match="incomplete: std missing"):
        complete({"mean": 0.5, "crop_pct": 0.875}, (224, 224), 3)
