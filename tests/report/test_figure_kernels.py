from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from bandscope.errors import InputError
from bandscope.report.figures.kernels import figure_kernel_layers, figure_kernels

MEMBERS = ("g", "dx", "dy", "dxx", "dxy", "dyy")
SIZES = {"features.0.conv_dw": (3, 3), "features.1.conv_dw": (7, 7), "features.2.conv_dw": (1, 11), "few": (5, 5)}


def kernel_tables(sizes: dict[str, tuple[int, int]] = SIZES) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    taps = {name: rng.normal(size=(4 if name == "few" else 30, *size)) for name, size in sizes.items()}
    rows = [
        {
            "layer": name,
            "index": index,
            "kernel": " x ".join(map(str, sizes[name])),
            "member": MEMBERS[index % 6],
            "member_share": 1.0 if index < 8 else float(share),
            "passes": index < 8 and index % 6 == 0,
        }
        for name, kernels in taps.items()
        for index, share in enumerate(rng.uniform(size=len(kernels)))
    ]
    return pd.DataFrame(rows), taps


def layer_table(count: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    nearest = rng.dirichlet(np.ones(6), count)
    shares = {
        f"{name}_{what}": np.full(count, value)
        for name, base in (("member", 0.4), ("jet", 0.8))
        for what, value in (
            ("share", base + 0.15),
            ("random", base),
            ("random_low", base - 0.03),
            ("random_high", base + 0.03),
            ("shuffled", base + 0.05),
        )
    }
    return pd.DataFrame(
        {
            "layer": [f"blocks.{i}.conv_dw" for i in range(count)],
            **{f"nearest_{name}": nearest[:, i] for i, name in enumerate(MEMBERS)},
            "passes": nearest[:, 0] / 2,
            "sigma": rng.uniform(0.5, 1, count),
            "sigma_q25": 0.4,
            "sigma_q75": 1.2,
            **shares,
        }
    )


def captions(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_row_shows_evenly_spaced_kernels_from_best_to_worst():
    kernels, taps = kernel_tables()
    axes = figure_kernels(kernels, taps, columns=10).axes[0]
    drawn = [np.asarray(image.get_array()) for image in axes.images]
    assert len(drawn) == 10 + 10 + 10 + 4
    own = kernels[kernels["layer"] == "features.1.conv_dw"].sort_values(
        "member_share", ascending=False, kind="stable"
    )
    expected = own.iloc[[1, 4, 7, 10, 13, 16, 19, 22, 25, 28]]
    for image, index in zip(drawn[10:20], expected["index"], strict=True):
        np.testing.assert_array_equal(image, taps["features.1.conv_dw"][index])
    names = np.where(expected["passes"], "pass", expected["member"])
    assert captions(axes)[10:20] == [
        f"{n} {100 * s:.0f}" for n, s in zip(names, expected["member_share"], strict=True)
    ]


def test_colours_are_symmetric_around_zero_for_each_kernel():
    kernels, taps = kernel_tables()
    for image in figure_kernels(kernels, taps).axes[0].images:
        low, high = image.get_clim()
        assert high == -low == np.abs(image.get_array()).max()


def test_pixels_are_square_whatever_the_kernel():
    kernels, taps = kernel_tables()
    figure = figure_kernels(kernels, taps)
    figure.draw_without_rendering()
    for image in figure.axes[0].images:
        box, (tall, wide) = image.get_window_extent(), image.get_array().shape
        assert box.width / wide == pytest.approx(box.height / tall, rel=0.02)


def test_layers_are_named_from_their_end(texts_of: Callable):
    name = "stages.10.blocks.3.a_rather_long_name_of_a_module.token_mixer.dwconv_h"
    kernels, taps = kernel_tables({name: (3, 3), "short": (3, 3)})
    labels = [label.get_text() for label in figure_kernels(kernels, taps).axes[0].get_yticklabels()]
    assert labels[0].startswith("…")
    assert labels[0].endswith("token_mixer.dwconv_h 3×3")
    assert labels[1] == "short 3×3"


def test_of_many_layers_evenly_spaced_ones_are_drawn():
    kernels, taps = kernel_tables({f"layer{i}": (3, 3) for i in range(11)})
    figure = figure_kernels(kernels, taps, max_layers=3, columns=2, title="net")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [f"layer{i} 3×3" for i in (0, 5, 10)]
    assert figure.get_suptitle() == "net (3 of 11 layers, evenly spaced)"


def test_kernels_without_a_share_are_left_out():
    kernels, taps = kernel_tables({"a": (3, 3), "b": (3, 3)})
    kernels.loc[kernels["layer"] == "a", "member_share"] = np.nan
    axes = figure_kernels(kernels, taps, columns=30).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b 3×3"]
    assert len(axes.images) == 30


def test_bars_add_up_and_those_that_pass_stand_apart():
    table = layer_table()
    kinds, scale, shares = figure_kernel_layers(table).axes
    widths = np.reshape([bar.get_width() for bar in kinds.patches], (-1, len(table)))
    np.testing.assert_allclose(widths.sum(0), 1)
    np.testing.assert_allclose(widths[0], table["passes"])
    np.testing.assert_allclose(widths[1], table["nearest_g"] - table["passes"])
    np.testing.assert_array_equal(scale.lines[0].get_xdata(), table["sigma"])
    drawn = [line.get_xdata() for line in shares.lines]
    for name in ("member_share", "member_shuffled", "jet_share", "jet_shuffled"):
        assert any(np.array_equal(line, table[name]) for line in drawn)
    bars = {(round(bar.get_x(), 6), round(bar.get_width(), 6), to_hex(bar.get_facecolor())) for bar in shares.patches}
    assert bars == {
        (0.37, 0.06, to_hex(shares.lines[1].get_color())),
        (0.77, 0.06, to_hex(shares.lines[3].get_color())),
    }
    assert kinds.yaxis_inverted()


def test_layers_without_values_are_left_out():
    table = layer_table()
    table.loc[2, "member_share"] = np.nan
    names = [label.get_text() for label in figure_kernel_layers(table).axes[0].get_yticklabels()]
    assert names == [f"blocks.{i}.conv_dw" for i in (0, 1, 3, 4)]


@pytest.mark.parametrize("count", [1, 5, 30])
def test_both_are_legible(check_legible: Callable, count: int):
    check_legible(figure_kernel_layers(layer_table(count), title="A network"))
    check_legible(figure_kernels(*kernel_tables(), columns=max(count, 12) // 5 * 4, title="A network"))


KERNELS, TAPS = kernel_tables()


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: figure_kernels(KERNELS.drop(columns="index"), TAPS), "figure_kernels: the table lacks index"),
        (lambda: figure_kernels(KERNELS, {}), "no taps of layer 'features.0.conv_dw'; there are those of none"),
        (lambda: figure_kernels(KERNELS.assign(member_share=np.nan), TAPS), "nothing to draw"),
        (lambda: figure_kernels(KERNELS, TAPS, columns=0), "columns is 0"),
        (lambda: figure_kernels(KERNELS, TAPS, max_layers=0), "max_layers is 0"),
        (lambda: figure_kernel_layers(layer_table().drop(columns="jet_shuffled")), "lacks jet_shuffled"),
        (lambda: figure_kernel_layers(layer_table().assign(member_share=np.nan)), "nothing to draw"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw: Callable, words: str):
    with pytest.raises(InputError, match=words):
        draw()
