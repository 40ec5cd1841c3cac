"""What users get wrong, and disks, and weights: one sentence each, and nothing lost or half written."""

import contextlib
import errno
import io
import json
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from PIL import Image
from rich.console import Console

import bandscope as bs
from bandscope.cli import table
from bandscope.cli.main import main
from bandscope.cube.store import Store
from bandscope.probes import checked_bands, checked_radii

FEW, MORE = (bs.LowPass((3, 9)),), (bs.LowPass((3, 5, 9)),)
PREPROCESS = bs.Preprocess(size=(64, 64), resize=64, mean=(0.5,) * 3, std=(0.25,) * 3)


def run(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    """(exit code, standard output, standard error with its white space made single)."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return code, out.getvalue(), re.sub(r"\s+", " ", err.getvalue())


def refused(*arguments: object, cwd: Path) -> str:
    code, _, said = run(*arguments, cwd=cwd)
    assert code != 0
    assert said.startswith("Error: ")
    return said


def audit(data="planted?per_class=2", out: Path | None = None, probes=FEW, model="planted", threads=1, **options):
    return bs.audit(model, data, out=out, probes=probes, threads=threads, **options)


class Net(torch.nn.Module):
    """Nine logits from the mean colour; `spoil` may change them."""

    def __init__(self, spoil=lambda batch, logits: logits) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 9)
        self.spoil = spoil

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.spoil(batch, self.linear(batch.mean((2, 3))))


def audit_net(net: torch.nn.Module, **options):
    return audit(model=net, preprocess=PREPROCESS, match="index", **options)


class Pictures:
    """An image set of a user's own making."""

    spec, classes = "pictures", (bs.ClassLabel("a"), bs.ClassLabel("b"))

    def __init__(self, labels) -> None:
        self.labels = np.array(labels, dtype=int)
        self.paths = [f"{i}.png" for i in range(len(labels))]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Image.Image:
        return Image.new("RGB", (64, 64))

    def fingerprint(self) -> str:
        return "pictures"


# ---- before any work


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["audit", "planted", ""], "'' is not a known image set"),
        (["audit", "", "planted"], "unknown classifier ''"),
        (["audit", "--out", "."], "name of its own"),
        (["audit", "--out", "/", "--overwrite"], "name of its own"),
        (["audit", "--figures", "file"], "file is not a folder"),
        (["audit", "--figures", "file/below"], "is not a folder"),
        (["audit", "--threads", "99999999"], "from 1 to 1024"),
        (["audit", "--radii", "1e300"], "Radius 1e+300"),
        (["audit", "--input-size", "100000"], "at most 16384"),
        (["audit", "--crop-pct", "0.001"], "at most 16384"),
        (["audit", "--out", "file/a.zarr"], "file/a.zarr cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused_before_any_work(tmp_path, arguments, says):
    (tmp_path / "file").touch()
    assert says in refused(*arguments, cwd=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def make(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("def make():\n    raise SystemExit(0)", "fails to make a classifier: SystemExit"),
        ("import not_there_at_all", "not_there_at_all"),
    ],
)
def test_code_of_the_user_that_fails(tmp_path, monkeypatch, request, code, says):
    name = f"apple{request.node.callspec.indices['code']}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    said = refused("audit", f"python:{name}:make", "planted", cwd=tmp_path)
    assert says in said
    assert f"python:{name}:make" in said


def test_a_spec_is_no_emoji(tmp_path):
    assert "python:imp:make" in refused("audit", "python:imp:make", "planted", cwd=tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello world", b"\x80\x04\x95"], ids=["empty", "text", "pickle"])
def test_damaged_weights(tmp_path, content):
    (tmp_path / "w.pt").write_bytes(content)
    said = refused("audit", "timm:test_resnet?weights=w.pt", "planted", cwd=tmp_path)
    assert "w.pt" in said
    assert "weights_only" not in said


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"probes": bs.LowPass((3,))}, bs.InputError, "must be a list"),
        ({"probes": "low-pass"}, bs.InputError, "must be a list"),
        ({"data": Pictures([])}, bs.DataError, "holds no images"),
        ({"data": Pictures([0, 2]), "match": "index"}, bs.DataError, "label 2"),
        ({"data": Pictures([0, -1]), "match": "index"}, bs.DataError, "label -1"),
        ({"threads": True}, bs.InputError, "threads"),
        ({"batch_size": True}, bs.InputError, "batch_size"),
        ({"workers": "3"}, bs.InputError, "workers"),
        ({"model": bs.load_classifier("planted"), "overrides": {"input_size": 32}}, bs.InputError, "overrides"),
        ({"model": bs.load_classifier("planted"), "weights": "w.pt"}, bs.InputError, "load_classifier"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_refused_in_python(options, error, says):
    with pytest.raises(error, match=says):
        audit(**options)


@pytest.mark.parametrize("radii", ["15", [1e300]])
def test_what_cannot_be_radii(radii):
    with pytest.raises(bs.InputError, match=r"[Rr]adi"):
        checked_radii(radii)


@pytest.mark.parametrize("bands", [["12"], [(1, 2, 3)]])
def test_what_cannot_be_bands(bands):
    with pytest.raises(bs.InputError, match="pair"):
        checked_bands(bands)


def test_a_network_that_cannot_be_copied():
    net = Net()
    net.lock = threading.Lock()
    with pytest.raises(bs.ModelError, match="cannot be copied"):
        audit_net(net)


# ---- while it runs


def test_a_network_that_fails_is_named():
    def fail(batch, logits):
        if len(batch) > 1:  # the first look at it has one image
            raise KeyError("layer\n4")
        return logits

    with pytest.raises(bs.ModelError, match=r"Net fails on a batch of 18 x 3 x 64 x 64: KeyError"):
        audit_net(Net(fail))


def test_a_network_that_changes_its_outputs():
    calls = []

    def shrink(batch, logits):
        calls.append(len(batch))
        return logits[:, :4] if len(calls) == 3 else logits

    with pytest.raises(bs.ModelError, match="now 4 classes"):
        audit_net(Net(shrink))


def test_strict_stops_at_non_finite_outputs_and_at_stored_failures(tmp_path):
    def spoil(batch, logits):
        bad = batch.std((1, 2, 3)) > batch.std((1, 2, 3)).median()
        return torch.where(bad[:, None], torch.nan, logits)

    net = Net(spoil)
    with pytest.raises(bs.DataError, match=r"is non-finite: .* \(--strict"):
        audit_net(net, strict=True)
    cube = audit_net(net, out=tmp_path / "a.zarr")
    assert 0 < (cube["status"].values == "ok").sum() < 18
    with pytest.raises(bs.DataError, match=r"is non-finite: .* \(--strict"):
        audit_net(net, out=tmp_path / "a.zarr", strict=True)


def test_not_one_good_image(tmp_path):
    (tmp_path / "images" / "background").mkdir(parents=True)
    for i in range(3):
        (tmp_path / "images" / "background" / f"{i}.png").touch()
    said = refused("audit", "planted", "folder:images", "--radii", "3", cwd=tmp_path)
    assert "No image of planted-images.zarr counts" in said
    assert "zero bytes" in said
    assert not (tmp_path / "planted-images-figures").exists()


# ---- stores


def test_other_right_outputs_are_another_audit(tmp_path):
    names = [label.name for label in bs.load_source("planted").classes]
    for i, order in enumerate((range(9), reversed(range(9)))):
        (tmp_path / f"{i}.csv").write_text("\n".join(f"{n},{k}" for n, k in zip(names, order, strict=True)))
    audit(out=tmp_path / "a.zarr", labels=tmp_path / "0.csv")
    with pytest.raises(bs.StoreError, match="labels: 16 of 18 images have another right output"):
        audit(out=tmp_path / "a.zarr", labels=tmp_path / "1.csv")


def test_overwrite_drops_nothing_before_the_new_store_can_be_made(tmp_path):
    audit(out=tmp_path / "a.zarr")
    with pytest.raises(bs.InputError, match="device"):
        audit(out=tmp_path / "a.zarr", overwrite=True, device="nonsense")
    assert (bs.open(tmp_path / "a.zarr")["status"].values == "ok").all()


def test_overwrite_leaves_the_zarr_stores_of_others_alone(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_array("precious", data=np.arange(5))
    with pytest.raises(bs.StoreError, match="not a bandscope store"):
        audit(out=tmp_path / "a.zarr", overwrite=True)
    assert (zarr.open_group(tmp_path / "a.zarr", mode="r")["precious"][:] == np.arange(5)).all()


def test_overwrite_replaces_even_a_damaged_store(tmp_path):
    audit(out=tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "zarr.json").write_text('{"zarr_fo')
    assert (audit(out=tmp_path / "a.zarr", overwrite=True)["status"].values == "ok").all()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_extension_of_another_audit_is_not_gone_on_with(tmp_path):
    out, other = tmp_path / "a.zarr", "planted?per_class=2&seed=5"
    audit(out=out)
    with pytest.raises(KeyboardInterrupt):
        audit(out=out, probes=MORE, extend=True, progress=interrupt)
    growing = tmp_path / ".a.zarr.extending"
    assert growing.exists()
    shutil.copytree(growing, tmp_path / "kept")
    audit(other, out=out, overwrite=True)
    assert not growing.exists()
    shutil.copytree(tmp_path / "kept", growing)  # as if it had been left there by hand
    audit(other, out=out, probes=MORE, extend=True)
    assert bs.open(out).attrs["data"]["spec"] == other
    np.testing.assert_array_equal(
        bs.open(out)["low_pass/margin"].values, audit(other, probes=MORE)["low_pass/margin"]
    )


def test_a_deleted_store_does_not_come_back_from_its_interrupted_extension(tmp_path):
    audit(out=tmp_path / "a.zarr")
    with pytest.raises(KeyboardInterrupt):
        audit(out=tmp_path / "a.zarr", probes=MORE, extend=True, progress=interrupt)
    shutil.rmtree(tmp_path / "a.zarr")
    audit("planted?per_class=1", out=tmp_path / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_copy_without_hidden_files_can_be_gone_on_with(tmp_path):
    audit(out=tmp_path / "a.zarr")
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "b.zarr", ignore=shutil.ignore_patterns(".*"))
    audit(out=tmp_path / "b.zarr")
    assert Store(tmp_path / "b.zarr").done() == [0]


def test_through_a_link_the_store_is_extended_and_the_link_stays(tmp_path):
    audit(out=tmp_path / "a.zarr")
    (tmp_path / "link.zarr").symlink_to("a.zarr")
    audit(out=tmp_path / "link.zarr", probes=MORE, extend=True)
    assert (tmp_path / "link.zarr").is_symlink()
    assert bs.open(tmp_path / "a.zarr")["low_pass"].sizes["radius"] == 3


# ---- tables


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "a.zarr"
    audit("planted?per_class=8", out=path, batch_size=8)  # three blocks
    return path


@pytest.fixture
def copied(store, tmp_path) -> Path:
    return shutil.copytree(store, tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("low_pass/probability/c/1/0", "1 of its 3 blocks"),
        ("status/c/2", "1 of its 3 blocks"),
        ("label/c/0", "label/c/0 is lost"),
        ("low_pass/radius/c/0", "low_pass/radius/c/0 is lost"),
    ],
)
@pytest.mark.parametrize("content", [None, b"x"], ids=["lost", "changed"])
def test_a_damaged_store_is_no_table(copied, file, says, content):
    (copied / file).unlink()
    if content:
        (copied / file).write_bytes(content)
    said = refused("table", "a.zarr", "curves", cwd=copied.parent)
    assert "damaged" in said
    assert says in said


def test_a_store_without_its_settings(copied):
    metadata = json.loads((copied / "zarr.json").read_text())
    del metadata["attributes"]["plan"]
    (copied / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(bs.StoreError, match=r"lacks its settings \(plan\)"):
        audit("planted?per_class=8", out=copied, batch_size=8)


def test_an_unfinished_store_says_so(copied):
    fresh = Store(copied)
    (copied / ".blocks" / "000001.json").unlink()
    fresh._group["status"][32:64] = np.full(32, "", dtype=object)
    code, out, _ = run("table", "a.zarr", "curves", cwd=copied.parent)
    assert code == 0
    assert "32 of 72 images are not computed yet" in out


def test_half_a_csv_is_no_csv(copied, monkeypatch):
    def full(self, path, **_):
        Path(path).write_text("half a li")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert "No space left" in refused("table", "a.zarr", "curves", "--csv", "t.csv", cwd=copied.parent)
    assert [p.name for p in copied.parent.iterdir()] == ["a.zarr"]


def test_tables_over_radii_need_radii(tmp_path):
    audit(out=tmp_path / "a.zarr", probes=(bs.BandPass(((0, 3), (3, 9))),))
    assert "needs a low-pass or high-pass probe" in refused("table", "a.zarr", "band-accuracy", cwd=tmp_path)
    assert run("table", "a.zarr", "curves", cwd=tmp_path)[0] == 0


def test_names_are_no_markup():
    shown = io.StringIO()
    table._show(pd.DataFrame({"source": ["[red]x[/].png", "[/]", ":dog:"]}), 10, Console(file=shown, width=60))
    for name in ("[red]x[/].png", "[/]", ":dog:"):
        assert name in shown.getvalue()
