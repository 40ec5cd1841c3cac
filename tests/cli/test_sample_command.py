"""`bandscope sample` as a user meets it: what it prints, what it writes, what it refuses."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import bandscope as bs
from bandscope.cli.main import main

RADII = (2.0, 6.0, 10.0, 14.0, 22.0, 40.0)


def run(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    """(exit code, standard output, standard error with its white space made single)."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["sample", *map(str, arguments)])
    return code, out.getvalue(), re.sub(r"\s+", " ", err.getvalue())


def shown(*arguments: object, cwd: Path) -> str:
    code, out, err = run(*arguments, cwd=cwd)
    assert code == 0, err
    assert max(len(line.rstrip()) for line in out.splitlines() if "Figure" not in line) <= 100
    return out


class Whims(torch.nn.Module):
    """Nine logits without rhyme or reason: labels are lost and found again at every other radius."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(9, 3 * 64 * 64, generator=torch.Generator().manual_seed(0))
        self.weight = torch.nn.Parameter(weight / 20)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return 3 * torch.sin(10 * batch.flatten(1) @ self.weight.T)


def audit(path: Path, data: str = "planted?per_class=3", model: object = "planted", **options: object) -> Path:
    probes = [bs.LowPass(RADII), bs.HighPass(RADII[:2])]
    bs.audit(model, data, out=path, probes=probes, threads=1, workers=1, **options)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return audit(tmp_path_factory.mktemp("plain") / "a.zarr")


@pytest.fixture(scope="module")
def zoomed(tmp_path_factory) -> Path:
    return audit(tmp_path_factory.mktemp("zoomed") / "z.zarr", zoom=(1.0, 2.0))


@pytest.fixture(scope="module")
def whimsical(tmp_path_factory) -> Path:
    preprocess = bs.Preprocess(size=(64, 64), resize=64, mean=(0.5,) * 3, std=(0.25,) * 3)
    path = tmp_path_factory.mktemp("whims") / "w.zarr"
    return audit(path, model=Whims(), preprocess=preprocess, match="index")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A store, and the folder of the images that it is of."""
    root, planted = tmp_path_factory.mktemp("folder"), bs.load_source("planted?per_class=2")
    for position, path in enumerate(planted.paths):
        place = root / "images" / f"{path}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        planted[position].save(place)
    audit(root / "f.zarr", f"folder:{root / 'images'}")
    return root


@pytest.fixture
def moved(folder, tmp_path) -> Path:
    """The store alone: its images lie elsewhere now."""
    shutil.copytree(folder / "f.zarr", tmp_path / "f.zarr")
    (folder / "images").rename(folder / "elsewhere")
    yield tmp_path
    (folder / "elsewhere").rename(folder / "images")


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_one_image_is_drawn_and_told(plain, tmp_path):
    cube, table = bs.open(plain), bs.samples(bs.open(plain)).query("probe == 'low_pass'").set_index("image")
    printed = shown(plain, 4, "--out", "one", cwd=tmp_path).splitlines()
    source, name = cube["source"].values[4], table.loc[4, "class_name"]
    assert printed[0] == f"{name}  image 4, {source}"
    clean = f"right {cube['clean_probability'].values[4]:.1%}"
    assert cells(printed[2])[:2] == [clean, f"{table.loc[4, 'onset']:g}"]
    assert printed[-1] == "Figure in one.png and one.pdf"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.pdf", "one.png"]
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width == 2100


def test_takeovers_are_told_with_their_usurpers(whimsical, tmp_path):
    table = bs.takeovers(bs.open(whimsical)).query("probe == 'low_pass'")
    image = table["image"].mode()[0]
    rows = table.query("image == @image").sort_values(["conditions", "from_radius"], ascending=[False, True])
    assert len(rows) > 1
    told = []
    for row in rows.itertuples():
        radii = f"{row.from_radius:g} to {row.to_radius:g}" if row.conditions > 1 else f"{row.from_radius:g}"
        told.append(f"{radii} {row.usurper} ({row.usurper_probability:.0%})")
    printed = shown(whimsical, image, "--out", "a.svg", cwd=tmp_path)
    assert cells(printed.splitlines()[2])[2] == ", ".join(told)
    calm = min(set(range(27)) - set(table["image"]))
    assert cells(shown(whimsical, calm, "--out", "a.svg", cwd=tmp_path).splitlines()[2])[2] == "none"


def test_by_default_the_figure_lies_beside_the_store_under_the_image_s_name(plain, tmp_path):
    shutil.copytree(plain, tmp_path / "a.zarr")
    slug = re.sub(r"[ /]", "-", bs.open(plain)["source"].values[4])
    shown(tmp_path / "a.zarr", 4, cwd=tmp_path)
    shown(tmp_path / "a.zarr", 4, "--probe", "high-pass", cwd=tmp_path)
    made = sorted(path.name for path in tmp_path.glob("a-*"))
    names = (f"a-{slug}", f"a-{slug}-high-pass")
    assert made == sorted(f"{name}.{suffix}" for name in names for suffix in ("png", "pdf"))


def test_a_suffix_chooses_the_format_and_folders_are_made(plain, tmp_path):
    shown(plain, 4, "--out", "x/y/one.svg", cwd=tmp_path)
    shown(plain, 4, "--out", "x/r=0.5", cwd=tmp_path)
    made = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    assert made == ["x/r=0.5.pdf", "x/r=0.5.png", "x/y/one.svg"]


def test_an_image_is_found_by_position_path_and_end_of_path(folder, tmp_path):
    paths = [str(path) for path in bs.open(folder / "f.zarr")["source"].values]
    path = paths[5]
    first = [shown(folder / "f.zarr", name, "--out", "a.svg", cwd=tmp_path).splitlines()[0]
             for name in ("5", path, path[2:])]  # fmt: skip
    assert first == [first[0]] * 3
    assert first[0].endswith(f"image 5, {path}")
    code, _, said = run(folder / "f.zarr", "0000.png", cwd=tmp_path)
    assert code == 1
    assert "The paths of 9 images end in '0000.png'" in said
    assert all(repr(path) in said for path in paths if path.endswith("0000.png"))
    code, _, said = run(folder / "f.zarr", "nobody.png", cwd=tmp_path)
    assert code == 1
    assert "no image of the cube has this source" in said


def test_a_whole_name_wins_over_the_end_of_another(tmp_path):
    for name in ("1.png", "11.png"):
        (tmp_path / "images" / "background").mkdir(parents=True, exist_ok=True)
        bs.load_source("planted")[0].save(tmp_path / "images" / "background" / name)
    audit(tmp_path / "a.zarr", f"folder:{tmp_path / 'images'}")
    assert "background/1.png" in shown(tmp_path / "a.zarr", "1.png", cwd=tmp_path)


def test_the_radii_are_those_asked_for(plain, tmp_path):
    def text(*arguments: object) -> str:
        shown(plain, 4, "--out", "a.svg", *arguments, cwd=tmp_path)
        return (tmp_path / "a.svg").read_text()

    drawn = text("--radii", "3,9.5,clean")
    assert re.findall(r">(r = [\d.]+|clean)<", drawn) == ["r = 3", "r = 9.5", "clean"]
    assert re.findall(r">(r = [\d.]+|clean)<", text("--radii", "4:8:2")) == ["r = 4", "r = 6", "r = 8"]
    assert re.findall(r">(r = [\d.]+|clean)<", text("--radii", "clean")) == ["clean"]


def test_every_zoom_has_its_row(zoomed, tmp_path):
    printed = shown(zoomed, 4, "--out", "all.svg", cwd=tmp_path).splitlines()
    points = bs.scale_points(bs.open(zoomed), by="image").query("probe == 'low_pass' and image == 4")
    assert cells(printed[1]) == ["Zoom", "r50", "Clean", "Onset", "Takeovers"]
    told = [cells(line)[:2] for line in printed[2:4]]
    assert told == [[f"{row.zoom:g}", f"{row.r50:.4g}"] for row in points.itertuples()]
    drawn = (tmp_path / "all.svg").read_text()
    assert ">zoom 1<" in drawn
    assert ">zoom 2<" in drawn
    printed = shown(zoomed, 4, "--out", "two.svg", "--zoom", "2", cwd=tmp_path).splitlines()
    assert cells(printed[1]) == ["Clean", "Onset", "Takeovers"]
    assert "planted, zoom 2<" in (tmp_path / "two.svg").read_text()


@pytest.mark.parametrize("kind", ["takeover", "late", "nonmonotone", "shifted"])
def test_the_ranking_is_that_of_telling(zoomed, whimsical, tmp_path, kind):
    store = zoomed if kind == "shifted" else whimsical
    table = bs.telling(bs.open(store), kind, 3)
    printed = shown(store, "--most", kind, "--count", 3, cwd=tmp_path)
    numbers = [cells(line)[0] for line in printed.splitlines()[1:] if re.match(r" *\d+  ", line)]
    assert numbers == [str(image) for image in table["image"]]
    assert len(table) > 0
    for name in table["label_name"]:
        assert name in printed
    assert list(tmp_path.iterdir()) == []


def test_a_ranking_with_figures_draws_each_image_in_its_order(zoomed, tmp_path):
    table = bs.telling(bs.open(zoomed), "late", 2)
    shown(zoomed, "--most", "late", "--count", 2, "--figures", "figs", cwd=tmp_path)
    slugs = [re.sub(r"[^\w-]+", "-", source) for source in table["source"]]
    made = sorted(path.name for path in (tmp_path / "figs").iterdir())
    assert made == [f"{rank}-{slug}.{suffix}" for rank, slug in enumerate(slugs, 1) for suffix in ("pdf", "png")]


def test_a_ranking_at_another_zoom(zoomed, tmp_path):
    table = bs.telling(bs.at_zoom(bs.open(zoomed), 2), "late", 1)
    printed = shown(zoomed, "--most", "late", "--count", 1, "--zoom", 2, cwd=tmp_path)
    assert cells(printed.splitlines()[1])[:4] == [
        str(table["image"][0]), table["label_name"][0], "right", f"{table['onset'][0]:.3g}",
    ]  # fmt: skip


def test_object_sizes_are_told_as_such(tmp_path):
    paths = bs.load_source("planted?per_class=1").paths
    lines = ["source,x0,y0,x1,y1", *(f"{path},64,64,192,192" for path in paths)]
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    sizes = bs.ObjectSize((32, 64), tmp_path / "boxes.csv")
    audit(tmp_path / "o.zarr", "planted?per_class=1", zoom=sizes)
    printed = shown("o.zarr", 2, "--out", "a.svg", cwd=tmp_path).splitlines()
    assert [cells(line)[0] for line in printed[1:4]] == ["Size", "32", "64"]
    assert "r50 " in (ranking := shown("o.zarr", "--most", "shifted", cwd=tmp_path))
    assert "at object size 32" in " ".join(ranking.split())
    code, _, said = run("o.zarr", "--most", "late", cwd=tmp_path)
    assert code == 1
    assert "--most late looks at one object size: choose with --zoom, of 32, 64." in said
    assert shown("o.zarr", "--most", "late", "--zoom", "32", cwd=tmp_path)


def test_where_nothing_can_be_ranked_it_is_said(tmp_path):
    store = tmp_path / "a.zarr"
    bs.audit("planted", "planted?per_class=1", out=store, probes=[bs.LowPass((40,))], threads=1)
    assert "No image shows this under low_pass" in shown(store, "--most", "takeover", cwd=tmp_path)


def test_without_the_source_the_curves_are_drawn_and_it_is_said(moved, folder):
    code, out, _ = run("f.zarr", 3, "--out", "alone.svg", cwd=moved)
    out = " ".join(out.split())
    assert code == 0
    assert "The image cannot be shown." in out
    assert "does not exist" in out
    assert "--source SPEC" in out
    assert "<image" not in (moved / "alone.svg").read_text()
    spec = f"folder:{folder / 'elsewhere'}"
    assert "cannot be shown" not in shown("f.zarr", 3, "--source", spec, "--out", "again.svg", cwd=moved)
    assert (moved / "again.svg").read_text().count("<image") == 7
    code, out, _ = run("f.zarr", "--most", "late", "--count", 1, "--figures", "figs", cwd=moved)
    assert code == 0
    assert "1 of 1 figures are without images." in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give either an IMAGE_ID or --most with one of takeover, late, nonmonotone, shifted"),
        (["3", "--most", "late"], "Give either an IMAGE_ID or --most"),
        (["3", "--count", "2"], "--count and --figures go with --most"),
        (["3", "--figures", "figs"], "--count and --figures go with --most"),
        (["--most", "late", "--out", "a.png"], "--out is for one image"),
        (["--most", "late", "--count", "0"], "count = 0"),
        (["--most", "shifted"], "compares zooms, and this cube has none"),
        (["--most", "shifted", "--zoom", "1"], "takes no --zoom"),
        (["27"], "it must be 0 to 26"),
        (["3", "--probe", "lowpass"], "Did you mean 'low_pass'"),
        (["3", "--radii", "5,3"], "strictly increasing"),
        (["3", "--radii", "5:a"], "'a' is not a number"),
        (["3", "--radii", "1:40"], "40 images and 40 radii; as many of both, 1 to 12"),
        (["3", "--zoom", "2"], "no zoom 2; it has zoom 1"),
        (["3", "--zoom", "big"], "'big' is not a number, so it cannot be a zoom"),
        (["3", "--by", "imagenet"], "1000 outputs"),
        (["3", "--source", "folder:nowhere"], "nowhere"),
        (["3", "--source", "nothing"], "not a known image set"),
        (["3", "--out", "file/a.png"], "file is not a folder"),
        (["--most", "late", "--figures", "file"], "file is not a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_error_and_leaves_nothing(plain, tmp_path, arguments, says):
    (tmp_path / "file").write_text("")
    code, _, said = run(plain, *arguments, cwd=tmp_path)
    assert code == 1
    assert said.startswith("Error: ")
    assert says in said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_no_store_is_named(tmp_path):
    code, _, said = run("nowhere.zarr", "3", cwd=tmp_path)
    assert code == 1
    assert "zarr.json" in said


def test_a_store_of_bands_has_no_samples(tmp_path):
    bs.audit("planted", "planted?per_class=1", out=tmp_path / "a.zarr", probes=[bs.BandPass(((0, 9),))], threads=1)
    code, _, said = run("a.zarr", 0, cwd=tmp_path)
    assert code == 1
    assert "this cube can show a sample under none of its probes" in said
