import threading
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import tables as t
from PIL import Image

from bandscope.errors import InputError
from bandscope.report.figures import figure_curves, figure_heatmap, save


def draw():
    models = {"a $model$": t.overall(("low_pass",)), "_b": t.overall(("low_pass",), clean=0.5)}
    return figure_curves(models, chance=0.1)


def test_each_format_is_what_it_says(tmp_path: Path):
    paths = save(draw(), tmp_path / "mobilenetv1_1.0", ("png", "pdf", "svg"))
    assert paths == [tmp_path / f"mobilenetv1_1.0.{name}" for name in ("png", "pdf", "svg")]
    with Image.open(paths[0]) as image:
        assert np.allclose(image.size, (1050, 810), atol=1)
        assert np.asarray(image.convert("L")).std() > 5
    assert paths[1].read_bytes().startswith(b"%PDF")
    text = paths[2].read_text(encoding="utf-8")
    for words in ("Radius r (cycles/image)", "Frequency (cycles/pixel)", "a $model$ (clean 72.0)", "_b (clean 50.0)"):
        assert f">{words}</text>" in text  # text is text, as it was given
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_equal_figures_are_equal_files(tmp_path: Path):
    first = save(draw(), tmp_path / "a", ("png", "pdf", "svg"))
    second = save(draw(), tmp_path / "b", ("png", "pdf", "svg"))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"CreationDate" not in first[1].read_bytes()
    assert "<dc:date>" not in first[2].read_text(encoding="utf-8")


def test_the_callers_settings_change_nothing_and_stay(tmp_path: Path):
    (plain,) = save(figure_heatmap(t.by_group(), t.bands_of()), tmp_path / "a", ("svg",))
    with matplotlib.rc_context({"font.size": 20, "xtick.labelsize": 20, "savefig.bbox": "tight", "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        (other,) = save(figure_heatmap(t.by_group(), t.bands_of()), tmp_path / "b", ("svg",))
        assert dict(matplotlib.rcParams) == before
    assert plain.read_bytes() == other.read_bytes()


def test_threads_do_not_disturb_each_other_or_the_settings(tmp_path: Path):
    (plain,) = save(draw(), tmp_path / "plain", ("svg",))
    before = dict(matplotlib.rcParams)
    threads = [threading.Thread(target=lambda i=i: save(draw(), tmp_path / str(i), ("svg",))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(matplotlib.rcParams) == before
    assert {(tmp_path / f"{i}.svg").read_bytes() for i in range(4)} == {plain.read_bytes()}


def test_no_window_and_no_pyplot():
    import subprocess
    import sys

    code = "import sys, bandscope.report.figures; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_unknown_formats_are_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(InputError, match=r"'pmg' is not known; allowed are png, pdf, svg\. Did you mean 'png'"):
        save(draw(), tmp_path / "a", ("pdf", "pmg"))
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named_and_left_clean(tmp_path: Path):
    with pytest.raises(InputError, match=r"a\.png cannot be written: No such file or directory"):
        save(draw(), tmp_path / "missing" / "a", ("png",))
    (tmp_path / "b.png").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        save(draw(), tmp_path / "b", ("png",))
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_a_failed_write_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (path,) = save(draw(), tmp_path / "a", ("svg",))
    old = path.read_bytes()

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        save(figure_curves(t.overall(("low_pass",))), tmp_path / "a", ("svg",))
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
