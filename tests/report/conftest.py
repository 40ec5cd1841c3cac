import itertools
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from sampled import LIMIT, RADII

import bandscope as bs
from bandscope.datasets.planted import Planted
from bandscope.report.thumbnails import reopened

Boxes = list[tuple[str, Bbox]]


@pytest.fixture(scope="session")
def cube() -> xr.DataTree:
    return bs.audit(probes=[bs.LowPass(RADII), bs.HighPass(RADII)], limit=LIMIT, threads=1, workers=1)


@pytest.fixture(scope="session")
def crop(cube: xr.DataTree) -> np.ndarray:
    return reopened([cube], 3, Planted())[0]


@pytest.fixture
def texts_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Figure], Boxes]:
    """All texts that a figure really draws (ticks out of view are not), with their boxes in pixels."""
    seen: Boxes = []
    plain = Text.draw

    def draw(self: Text, renderer: object) -> None:
        plain(self, renderer)
        if self.get_visible() and self.get_text().strip():
            seen.append((self.get_text(), Text.get_window_extent(self, renderer)))

    def texts(figure: Figure) -> Boxes:
        seen.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Text, "draw", draw)
            FigureCanvasAgg(figure).draw()
        return list(seen)

    return texts


@pytest.fixture
def check_legible(texts_of: Callable[[Figure], Boxes]) -> Callable[[Figure], None]:
    """No text touches another or leaves the sheet; none is smaller than print can carry."""

    def check(figure: Figure) -> None:
        boxes = texts_of(figure)
        assert boxes
        for (one, a), (other, b) in itertools.combinations(boxes, 2):
            across = min(a.x1, b.x1) - max(a.x0, b.x0)
            down = min(a.y1, b.y1) - max(a.y0, b.y0)
            assert min(across, down) < 1.0, f"{one!r} and {other!r} overlap"
        for text, box in boxes:
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
            assert inside, f"{text!r} leaves the sheet"
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
        assert min(sizes) >= 7
        pixels = np.asarray(figure.canvas.buffer_rgba()).view(np.uint32)
        assert len(np.unique(pixels)) > 20

    return check
