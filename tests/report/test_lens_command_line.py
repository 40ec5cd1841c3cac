"""The command that a report gives opens the lens on the same model, images and filters."""

import shlex
from typing import Any

import pytest

from bandscope.conventions import PRESETS, Convention
from bandscope.report.lens import lens_command


def attributes(model="timm:resnet50", convention=PRESETS["bandscope"], command="", **more: Any) -> dict[str, Any]:
    held = {"model": {"spec": model}, "data": {"spec": "folder:my images"}, "convention": convention.to_json()}
    return {**held, "command": command, **more}


@pytest.mark.parametrize(
    ("convention", "options"),
    [
        (PRESETS["bandscope"], []),
        (PRESETS["gavrikov2024"], ["--convention", "gavrikov2024"]),
        (Convention.named("zhang2023", clip=True), ["--convention", "zhang2023", "--clip"]),
        (Convention.named("gavrikov2024", clip=False), ["--convention", "gavrikov2024", "--no-clip"]),
        (Convention(domain="pixel", keep_mean=True), ["--domain", "pixel", "--keep-mean"]),
    ],
    ids=str,
)
def test_the_convention_is_that_of_the_audit(convention, options):
    said = shlex.split(lens_command(attributes(convention=convention)))
    assert said == ["bandscope", "lens", "timm:resnet50", "folder:my images", *options]


def test_settings_that_only_the_audits_command_tells_are_kept():
    command = "bandscope audit onnx:m.onnx 'folder:my images' --mean 0.5 --std=0.25 --radii 3 --labels 'a b.csv' -o x"
    said = shlex.split(lens_command(attributes("onnx:m.onnx", command=command)))
    assert said[4:] == ["--mean", "0.5", "--std=0.25", "--labels", "a b.csv"]
    other = lens_command(attributes("timm:resnet18", command=command))  # audited in the same pass
    assert other == "bandscope lens timm:resnet18 'folder:my images'"


def test_no_command_where_the_lens_would_show_something_else():
    assert lens_command(attributes("object:mypackage.Net")) == ""
    assert lens_command(attributes(zoom={"axis": "object_size", "boxes": {"spec": "boxes.csv"}})) == ""
    assert lens_command(attributes(zoom={"axis": "zoom", "boxes": None, "outside": "shrink"})) == ""
    assert lens_command(attributes(zoom={"axis": "zoom", "boxes": None})).startswith("bandscope lens")
