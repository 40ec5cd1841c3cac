"""What reports call stores and models."""

import pytest

from bandscope.cube.place import place_of
from bandscope.errors import InputError
from bandscope.report.stores import named, opened
from bandscope.report.words import short_spec


def test_stores_are_named_after_their_files_and_told_apart() -> None:
    def names(*paths: str) -> list[str]:
        return list(named([place_of(path) for path in paths]))

    assert names("a.zarr", "runs/b.zarr/", "c") == ["a", "b", "c"]
    assert names("/x/run.zarr", "/y/run.zarr", "/y/other.zarr") == ["x/run", "y/run", "other"]
    assert names("/x/a.zarr", "/x/a.zarr", "/x/a.zarr") == ["a", "a (2)", "a (3)"]
    assert names("/x/a.zarr", "/y/a.zarr", "/y/a.zarr") == ["x/a", "y/a", "y/a (2)"]
    places = [place_of("/x/a.zarr"), place_of("/y/a.zarr")]
    assert named(places) == {"x/a": places[0], "y/a": places[1]}


@pytest.mark.parametrize(
    ("given", "message"), [(3, "Stores are given as int"), ([None], "A store is given as NoneType"), ([], "No store")]
)
def test_what_is_no_store_is_refused(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message), opened(given):
        pass


@pytest.mark.parametrize(
    ("spec", "short"),
    [
        ("timm:resnet50", "timm:resnet50"),
        ("hf:microsoft/resnet-50", "hf:microsoft/resnet-50"),
        ("/home/me/runs/low45/best.safetensors", "low45/best.safetensors"),
        ("low45/best.safetensors", "low45/best.safetensors"),
        ("../runs/low45/best.safetensors", "low45/best.safetensors"),
        ("onnx:/data/models/model.onnx", "onnx:models/model.onnx"),
        (
            "timm:resnet50?weights=/data/mine/w.safetensors&num_classes=9",
            "timm:resnet50?weights=mine/w.safetensors&num_classes=9",
        ),
        (r"C:\models\mine\best.safetensors", r"C:mine\best.safetensors"),
        ("python:package.models:make", "python:package.models:make"),
        ("object:torchvision.models.resnet.ResNet", "ResNet"),
        ("object:__main__.make.<locals>.Net", "Net"),
    ],
)
def test_specs_are_shortened_to_what_tells_them_apart(spec: str, short: str) -> None:
    assert short_spec(spec) == short
