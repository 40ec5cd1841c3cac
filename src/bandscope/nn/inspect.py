"""What the depthwise kernels of a network look like: scale, frequency response, and how much of them is a jet.

Two tables, one row a kernel and one row a layer. Scales are in pixels of the layer's input and frequencies in cycles
per such pixel; shares are of energy, the sum of squared taps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bandscope.errors import InputError
from bandscope.nn.depthwise import Site, chosen, grouped_convolutions
from bandscope.nn.jetfit import ORDERS, JetFit, fit_jet, members, scales
from bandscope.nn.null import chance, dimensions, shuffled
from bandscope.nn.response import Band, band
from bandscope.scalespace.kernels import gaussian_taps

PASS = 0.35  # a "g" below this scale passes its channel: the neighbours of the centre weigh less than 6 % each
AT_END = 1e-6


@dataclass(frozen=True)
class Inspection:
    """The tables of `inspect_model`, and the kernels themselves.

    Attributes:
        layers: a row a layer, see `inspect_model`.
        kernels: a row a kernel, see `inspect_model`.
        taps: by layer, the kernels as they were fitted, float64 (n, tall, wide).
    """

    layers: pd.DataFrame
    kernels: pd.DataFrame
    taps: Mapping[str, Float[np.ndarray, "n tall wide"]] = field(repr=False)


def inspect_model(model: nn.Module, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Inspection:
    """Look at every depthwise convolution of a network, learned or made of blurs and derivatives.

    Args:
        model: any network; it is not run.
        include: globs over module names; only what matches is looked at. None: everything.
        exclude: globs of what is left out.

    Returns:
        The tables `kernels` (a row an output channel of a layer) and `layers` (a row a grouped convolution), with the
        columns below, and the kernels themselves.

    Columns of kernels:
        layer, index: which kernel it is.
        kind: "learned", or "operator" in our own layers.
        kernel: its size, such as "3 x 3".
        energy: sum of its squared taps.
        member, member_share: nearest single member of the jet (g, dx, dy, dxx, dxy, dyy), energy that it explains.
        gain: the kernel is nearest to gain x member.
        sigma: scale of that member; NaN where it looks the same at every scale (dxy on 3 x 3).
        spread: standard deviation of the blur of that scale as it is cut to the kernel's size.
        bound: "low" or "high" where the best scale is the end of the range searched, 0.2 to the kernel's side.
        passes: whether that member is a "g" of sigma below 0.35, which leaves a channel all but unchanged.
        jet_share, jet_sigma: energy that all members together explain, at the scale best for that.
        peak, low, high, bandwidth: of power over radial frequency, in cycles/pixel: its largest value, the half-power
            band around it, and the width of that.
        reason: why there are no values; "" where there are.

    Columns of layers:
        layer, kind, kernel: as above.
        kernels: how many.
        stride: pixels between outputs.
        reason: why it was not looked at; "" where it was.
        member: the most frequent nearest member.
        nearest_g, nearest_dx ...: share of the kernels nearest to each member.
        passes: share of the kernels that pass (they count as g too).
        sigma, sigma_q25, sigma_q75, spread: median and quartiles, and median, of the kernels that do not pass.
        jet_sigma, peak, bandwidth: medians.
        member_share, jet_share: means over kernels. Beside each stands, under its name with an ending, what chance
            makes of it.
        ..._random, ..._random_low, ..._random_high: the mean share of as many kernels of random numbers, and the
            interval in which it lies 19 times in 20.
        ..._shuffled: the same for the layer's own kernels, the taps of each in random order.
        ..._unusual: share of the kernels above the level that 1 in 20 random kernels exceeds (chance: 0.05).
        jet_dimensions: what the jet at a single given scale explains of random kernels: 6/9 for 3 x 3.

    Raises:
        InputError: there is no depthwise convolution to look at, or a glob matches nothing.
    """
    sites = _checked_sites(model, include, exclude)
    with torch.device("cpu"):
        tables = {site.name: _kernel_rows(site) for site in sites if not site.reason}
        layers = pd.DataFrame([_layer_row(site, tables.get(site.name)) for site in sites])
    kernels = pd.concat(tables.values(), ignore_index=True)
    taps = {site.name: site.kernels().double().cpu().numpy() for site in sites if not site.reason}
    return Inspection(layers, kernels, taps)


def _checked_sites(model: nn.Module, include: Sequence[str], exclude: Sequence[str]) -> list[Site]:
    found = grouped_convolutions(model)
    if all(site.reason for site in found):
        others = f": {found[0].name}: {found[0].reason}" if found else ""
        raise InputError(
            f"{type(model).__name__} has no depthwise convolution to look at (groups == in_channels > 1, odd kernel "
            f"larger than 1 x 1){others}."
        )
    sites = chosen(found, include, exclude)
    if all(site.reason for site in sites):
        raise InputError(f"Nothing is left to look at: {sites[0].name}: {sites[0].reason}.")
    return list(sites)


def _kernel_rows(site: Site) -> pd.DataFrame:
    layout = site.geometry
    fit, response = fit_jet(site.kernels()), band(site.kernels().cpu())
    kinds, empty = np.array(members(layout.size)), (fit.energy == 0).numpy()
    sigma = fit.sigma.numpy()
    gap = _gap(layout.dilation)
    rows: dict[str, Any] = {
        "layer": site.name,
        "index": np.arange(layout.outputs),
        "kind": _kind(site),
        "kernel": _times(layout.size),
        "energy": fit.energy.numpy(),
        "member": np.where(empty, "", kinds[fit.member.numpy()]),
        "member_share": fit.member_share.numpy(),
        "gain": fit.gain.numpy(),
        "sigma": sigma * gap,
        "spread": _spread(fit, layout.size) * gap,
        "bound": _bound(sigma, layout.size),
        "passes": (kinds[fit.member.numpy()] == "g") & (sigma < PASS),
        "jet_share": fit.jet_share.numpy(),
        "jet_sigma": fit.jet_sigma.numpy() * gap,
        **_frequencies(response, gap),
        "reason": np.where(empty, "a kernel of zeros", ""),
    }
    return pd.DataFrame(rows)


def _kind(site: Site) -> str:
    return "operator" if site.fixed else "learned"


def _times(pair: tuple[int, int]) -> str:
    return f"{pair[0]} x {pair[1]}"


def _gap(dilation: tuple[int, int]) -> float:
    """Pixels between taps; NaN where the axes differ, so that there is no one scale."""
    return float(dilation[0]) if dilation[0] == dilation[1] else np.nan


def _spread(fit: JetFit, size: tuple[int, int]) -> Float[np.ndarray, " n"]:
    """Standard deviation of the blur at each sigma, cut to the kernel's longer side."""
    radius = max(size) // 2
    taps = gaussian_taps(fit.sigma.nan_to_num(1.0), radius=radius).numpy()
    deviation = np.sqrt(taps @ np.arange(-radius, radius + 1) ** 2)
    return np.where(fit.sigma.isnan(), np.nan, deviation)


def _bound(sigma: Float[np.ndarray, " n"], size: tuple[int, int]) -> np.ndarray:
    low, high = scales(size)
    return np.select([sigma <= low + AT_END, sigma >= high - AT_END], ["low", "high"], "")


def _frequencies(response: Band, gap: float) -> dict[str, Float[np.ndarray, " n"]]:
    peak, low, high = (t.numpy() / gap for t in (response.peak, response.low, response.high))
    return {"peak": peak, "low": low, "high": high, "bandwidth": high - low}


def _layer_row(site: Site, kernels: pd.DataFrame | None) -> dict[str, Any]:
    module = site.module
    head = {
        "layer": site.name,
        "kind": type(module).__name__ if site.reason else _kind(site),
        "kernels": module.out_channels,
        **{
            name: _times(value) if isinstance(value, tuple) and len(value) == 2 else str(value)
            for name, value in (
                ("kernel", module.kernel_size),
                ("stride", module.stride),
                ("dilation", module.dilation),
            )
        },
    }
    found = _summary(site.geometry.size, kernels, site.kernels()) if kernels is not None else {}
    return {**head, **found, "reason": site.reason or ("" if found else "every kernel is zero")}


def _summary(size: tuple[int, int], kernels: pd.DataFrame, taps: Tensor) -> dict[str, Any]:
    """What the kernels of one layer have in common; empty where all of them are zero."""
    known = kernels[kernels["reason"] == ""]
    if known.empty:
        return {}
    nearest = known["member"].value_counts(normalize=True)
    filtering = known[~known["passes"]]
    low, middle, high = filtering["sigma"].quantile([0.25, 0.5, 0.75])
    mixed = shuffled(taps.cpu().double())
    by_chance = chance(size)
    shares: dict[str, float] = {}
    for name, level, other in zip(("member", "jet"), by_chance, mixed, strict=True):
        own = known[f"{name}_share"]
        below, above = level.interval(len(own))
        shares |= {
            f"{name}_share": own.mean(),
            f"{name}_random": level.mean,
            f"{name}_random_low": below,
            f"{name}_random_high": above,
            f"{name}_shuffled": other,
            f"{name}_unusual": (own > level.unusual).mean(),
        }
    return {
        "member": nearest.index[0],
        **{f"nearest_{name}": nearest.get(name, 0.0) for name in ORDERS},
        "passes": known["passes"].mean(),
        "sigma": middle,
        "sigma_q25": low,
        "sigma_q75": high,
        "spread": filtering["spread"].median(),
        **known[["jet_sigma", "peak", "bandwidth"]].median(),
        **shares,
        "jet_dimensions": dimensions(size),
    }
