import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandscope.classifiers.specs import parse_spec
from bandscope.errors import InputError


@pytest.mark.parametrize(
    ("text", "kind", "name", "options"),
    [
        ("timm:resnet50", "timm", "resnet50", {}),
        ("timm:resnet50.a1_in1k?pretrained=false", "timm", "resnet50.a1_in1k", {"pretrained": False}),
        (
            "timm:x?pad_type=same&num_classes=9&drop=0.5",
            "timm",
            "x",
            {"pad_type": "same", "num_classes": 9, "drop": 0.5},
        ),
        ("timm:x?mean=0.5,0.4,0.3&act=none", "timm", "x", {"mean": (0.5, 0.4, 0.3), "act": None}),
        ("timm:x?weights=/a/b.safetensors", "timm", "x", {"weights": "/a/b.safetensors"}),
        ("timm:hf-hub:me/net", "timm", "hf-hub:me/net", {}),
        ("torchvision:resnet18", "torchvision", "resnet18", {}),
        ("hf:me/net?revision=12e45&pretrained=false", "hf", "me/net", {"revision": "12e45", "pretrained": False}),
        ("onnx:a/b.onnx", "onnx", "a/b.onnx", {}),
        ("export:a/b.pt2?mean=0.5", "export", "a/b.pt2", {"mean": 0.5}),
        ("python:a.b:make?width=2", "python", "a.b:make", {"width": 2}),
        ("a/b.safetensors", "checkpoint", "a/b.safetensors", {}),
        ("b.safetensors?mean=0.5", "checkpoint", "b.safetensors", {"mean": 0.5}),
        ("planted", "planted", "planted", {}),
    ],
)
def test_specs_are_taken_apart(text, kind, name, options):
    spec = parse_spec(text)
    assert (spec.text, spec.kind, spec.name, spec.options) == (text, kind, name, options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tim:resnet50", "Did you mean 'timm'"),
        ("torchvison:resnet50", "Did you mean 'torchvision'"),
        ("resnet50", "Did you mean 'timm:resnet50' or 'torchvision:resnet50'"),
        ("net.onnx", "Did you mean 'onnx:net.onnx'"),
        ("net.pt2", "Did you mean 'export:net.pt2'"),
        ("net.pth", r"timm:NAME\?weights=net.pth"),
        ("plantet", "Did you mean 'planted'"),
        ("", "unknown classifier ''; allowed: timm:NAME"),
        ("timm:", "lacks a name"),
        ("timm:x?pretrained", "'pretrained' in classifier .* is not of the form name=value"),
        ("timm:x?=1", "not of the form"),
        ("timm:x?a=1&a=2", "'a' is given twice"),
    ],
)
def test_malformed_specs_are_refused_with_the_nearest(text, message):
    with pytest.raises(InputError, match=message):
        parse_spec(text)


literals = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
    | st.tuples(st.integers(), st.integers())
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), literals, max_size=4))
def test_literals_come_back_as_they_were_written(options):
    query = "&".join(f"{name}={value!r}" for name, value in options.items())
    parsed = parse_spec(f"timm:x?{query}").options
    assert parsed == options
    assert [type(value) for value in parsed.values()] == [type(value) for value in options.values()]
