"""How much of a kernel is a Gaussian derivative: least squares on the jet of order 2, at the best scale.

A jet member at a scale has the kernel's own size: the taps that `DerivativeConv2d` would use there (discrete family).
The scale of a kernel is that of its nearest *single* member. With all six members free it is hardly defined: by the
heat equation dg/dt = (dxx + dyy)/2 the jet itself makes up for a small change of scale.
"""

import math
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bandscope.scalespace.kernels import PARTIAL, derivative_taps

ORDERS = {name: PARTIAL[name] for name in ("g", "dx", "dy", "dxx", "dxy", "dyy")}
SMALLEST = 0.2  # the neighbours of the centre weigh 2 % of it: from here down a blur passes the image unchanged
GRID = 257  # scales, in steps of 1 to 2 %
AT_ONCE = 2048  # kernels, which bounds memory
FLAT = 1e-9  # taps that move less over all scales do not depend on scale


@dataclass(frozen=True)
class JetFit:
    """What the jet explains of n kernels; shares are of energy (sum of squares), NaN for a kernel of zeros.

    energy: sum of squared taps.
    member: index into `members(size)` of the nearest single member.
    sigma: its best scale in taps, within `scales(size)`; NaN where the member looks the same at every scale.
    gain: the kernel is nearest to gain times the member at sigma.
    member_share: energy that this explains.
    jet_sigma, jet_share: best scale of all members together, and the energy they explain there.
    weights: coefficients of the members at jet_sigma.
    """

    energy: Float[Tensor, " n"]
    member: Int64[Tensor, " n"]
    sigma: Float[Tensor, " n"]
    gain: Float[Tensor, " n"]
    member_share: Float[Tensor, " n"]
    jet_sigma: Float[Tensor, " n"]
    jet_share: Float[Tensor, " n"]
    weights: Float[Tensor, "n members"]


def members(size: tuple[int, int]) -> tuple[str, ...]:
    """The jet members that fit kernels of `size` (tall, wide): g, dx, dy, dxx, dxy, dyy; only g and dx.. on 1 x k."""
    tall, wide = size
    return tuple(name for name, (ny, nx) in ORDERS.items() if (tall > 1 or not ny) and (wide > 1 or not nx))


def scales(size: tuple[int, int]) -> tuple[float, float]:
    """The scales searched: from the identity to a blur as wide as the kernel, whose taps are all but equal."""
    return SMALLEST, float(max(size))


def _line(order: int, sigma: Float[Tensor, " n"], length: int) -> Float[Tensor, "n length"]:
    if length == 1:
        return torch.ones(len(sigma), 1, dtype=torch.float64)
    return derivative_taps(order, sigma, radius=length // 2)


def jet_taps(sigma: Float[Tensor, " n"], size: tuple[int, int]) -> Float[Tensor, "n members tall wide"]:
    """All members at each sigma."""
    names = members(size)
    down, along = ({o: _line(o, sigma, k) for o in {ORDERS[n][i] for n in names}} for i, k in enumerate(size))
    return torch.stack([down[ORDERS[n][0]][:, :, None] * along[ORDERS[n][1]][:, None, :] for n in names], 1)


def fit_jet(kernels: Float[Tensor, "n tall wide"]) -> JetFit:
    """Fit kernels of one odd size, n >= 1; any floating dtype, computed in float64 on the CPU."""
    size = (kernels.shape[-2], kernels.shape[-1])
    flat = kernels.detach().to("cpu", torch.float64).flatten(1)
    with torch.device("cpu"):  # whatever the caller's default: what is made here is kept for later calls
        parts = [_fit(part, size) for part in torch.split(flat, AT_ONCE)]
    return JetFit(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(JetFit)})


def _fit(kernels: Float[Tensor, "n taps"], size: tuple[int, int]) -> JetFit:
    energy = kernels.square().sum(1)
    length = energy.sqrt()
    unit = kernels / length.clamp_min(torch.finfo(torch.float64).tiny)[:, None]
    found = {**_fit_member(unit, size), **_fit_all(unit, size)}
    for name in ("sigma", "member_share", "jet_sigma", "jet_share"):
        found[name] = found[name].masked_fill(energy == 0, torch.nan)
    found["gain"] = found["gain"] * length
    found["weights"] = found["weights"] * length[:, None]
    return JetFit(energy=energy, **found)


def scale_grid(size: tuple[int, int]) -> Float[Tensor, " grid"]:
    """The scales tried for kernels of `size`, evenly spaced in log sigma."""
    low, high = scales(size)
    return torch.logspace(math.log10(low), math.log10(high), GRID, dtype=torch.float64).clamp(low, high)


@lru_cache(maxsize=32)
def _grid_jet(size: tuple[int, int]) -> Float[Tensor, "grid members taps"]:
    """Unit jet members on the grid of scales."""
    return torch.nn.functional.normalize(jet_taps(scale_grid(size), size).flatten(2), dim=2)


@lru_cache(maxsize=32)
def _grid_bases(size: tuple[int, int]) -> Float[Tensor, "grid taps members"]:
    """Orthonormal bases of the jet on the grid of scales."""
    bases: Tensor = torch.linalg.qr(_grid_jet(size).mT).Q
    return bases


def _fit_member(unit: Float[Tensor, "n taps"], size: tuple[int, int]) -> dict[str, Tensor]:
    """Nearest single member: the best (member, scale) of the grid, then its scale between the grid's points."""
    jets = _grid_jet(size)
    on_grid = torch.einsum("nt,smt->nms", unit, jets).square()
    member = on_grid.amax(2).argmax(1)
    sigma = best_scale(on_grid[torch.arange(len(unit)), member], scale_grid(size))
    taps = jet_taps(sigma, size).flatten(2)[torch.arange(len(unit)), member]
    constant = (jets - jets[:1]).abs().amax((0, 2)) < FLAT
    inner, power = (taps * unit).sum(1), taps.square().sum(1)
    return {
        "member": member,
        "sigma": sigma.masked_fill(constant[member], torch.nan),
        "gain": inner / power,
        "member_share": inner.square() / power,
    }


def _fit_all(unit: Float[Tensor, "n taps"], size: tuple[int, int]) -> dict[str, Tensor]:
    """Best scale of all members together, the share they explain there, and their coefficients."""
    sigma = best_scale(torch.einsum("nt,stm->nsm", unit, _grid_bases(size)).square().sum(-1), scale_grid(size))
    # Normal equations of unit columns: finite differences are well conditioned at every scale.
    taps = jet_taps(sigma, size).flatten(2)
    norms = taps.norm(dim=2)
    columns = taps / norms[..., None]
    inner = (columns * unit[:, None]).sum(2)
    weights = torch.linalg.solve(columns @ columns.mT, inner)
    return {"jet_sigma": sigma, "jet_share": (weights * inner).sum(1), "weights": weights / norms}


def best_scale(shares: Float[Tensor, "n grid"], grid: Float[Tensor, " grid"]) -> Float[Tensor, " n"]:
    """The scale of the largest share: the vertex of the parabola, in log sigma, through the grid's best three points.

    On steps of 1 % the vertex is right to about 2e-4 of sigma. At an end of the grid: that end.
    """
    best = shares.argmax(1)
    inner = best.clamp(1, len(grid) - 2)
    left, middle, right = (shares.gather(1, (inner + step)[:, None])[:, 0] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = torch.where(bend < 0, (left - right) / (2 * bend), 0.0).clamp(-1, 1)
    step = (grid[1] / grid[0]).log()
    return torch.where(best == inner, grid[best] * (shift * step).exp(), grid[best])
