"""What takes the place of a depthwise convolution: kernels, and what to call them. One function a mode."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from math import nan
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bandscope.nn.depthwise import Geometry, Site
from bandscope.nn.jetfit import ORDERS, JetFit, fit_jet, jet_taps, members
from bandscope.nn.operators import IDENTITY, SECOND_ORDER
from bandscope.nn.plan import Role
from bandscope.nn.presets import LOCAL_SIGMAS, PAPER_TAPS
from bandscope.nn.stored import StoredMix, StoredTaps
from bandscope.scalespace.kernels import gaussian_taps

Mode = Literal["paper", "project", "learn-mix"]
MODES: tuple[str, ...] = get_args(Mode)

_NEXT: dict[Role, Role] = {"blur": "derive", "derive": "local", "local": "derive"}
_ANY_SCALE = 1.0  # of members that look the same at every scale


@dataclass(frozen=True)
class Design:
    """The kernels of a new layer.

    taps: float64, one an output channel; what the layer starts with.
    stored: the module that makes them, where they come from trained weights; None for those of a plan.
    operators: one name an output channel; empty where each is a mixture.
    became: how many output channels take which operator.
    sigma: their scales in pixels, in a few words; "" where they are the paper's 3 taps.
    residual, residual_jet: energy of the old kernels that the nearest single members, and that all members together,
        leave unexplained; NaN where the old kernels are not looked at.
    """

    taps: Float[Tensor, "n tall wide"]
    stored: nn.Module | None
    operators: tuple[str, ...]
    became: str
    sigma: str = ""
    residual: float = nan
    residual_jet: float = nan


def designs(sites: Sequence[Site], mode: Mode) -> list[Design]:
    """One design a site; in `paper` a layer's role depends on those before it."""
    with torch.device("cpu"):
        if mode == "paper":
            return [paper(site, role) for site, role in zip(sites, roles(sites), strict=True)]
        return [project(site) if mode == "project" else learn_mix(site) for site in sites]


def roles(sites: Sequence[Site]) -> list[Role]:
    """GSSDNet's alternation: strides blur; between them features at a scale, then a finer step of scale, in turn.

    Parallel branches (members of one list, such as the kernel sizes of a MixNet layer) share the role of the first.
    """
    out: list[Role] = []
    branch_of = ""
    for site in sites:
        if max(site.geometry.stride) > 1:
            out.append("blur")
        elif not (site.branch_of and site.branch_of == branch_of):
            out.append(_NEXT[out[-1]] if out else "derive")
        else:
            out.append(out[-1])
        branch_of = site.branch_of
    return out


def paper(site: Site, role: Role) -> Design:
    """Blur, derivatives or local blurs as GSSDNet has them, whatever the trained kernels were.

    3-tap kernels get the paper's taps. Wider ones, with r taps on either side, have room for proper kernels:
    derivatives of scale r/2 (scale-normalised, so that amplitudes compare), local blurs from 0.35 r to 0.71 r. A blur
    under a stride s has scale s/2, which is the paper's 1 at its stride 2.
    """
    build = {"blur": _blurred, "derive": _derived, "local": _locally_blurred}[role]
    return build(site.geometry)


def _blurred(layout: Geometry) -> Design:
    """Every channel is blurred; with several outputs a channel, the others are derivatives of the blur."""
    sigma = max(layout.stride) / 2
    turn = ("g", *derivatives(layout.size))
    names = tuple(turn[out % layout.multiplier % len(turn)] for out in range(layout.outputs))
    became = f"{_counted(names)}, stride folded in"
    return Design(_bank(names, sigma, layout.size), None, names, became, f"{sigma:g}")


def _derived(layout: Geometry) -> Design:
    """Half of the channels are differentiated."""
    names, reach = spread(layout, derivatives(layout.size)), _reach(layout.size)
    sigma = "" if reach == 1 else f"{reach / 2:g}"
    return Design(_bank(names, reach / 2, layout.size), None, names, _counted(names), sigma)


def _locally_blurred(layout: Geometry) -> Design:
    """Half of the channels are blurred, each at a scale of its own."""
    names, reach = spread(layout, ("g",)), _reach(layout.size)
    low, high = (s * (reach / 2 if reach > 1 else 1) for s in LOCAL_SIGMAS)
    taps = _bank(names, low, layout.size)
    blurred = torch.tensor([name == "g" for name in names])
    taps[blurred] = _blurs(torch.linspace(low, high, int(blurred.sum()), dtype=torch.float64), layout.size)
    return Design(taps, None, names, _counted(names), f"{low:.3g} to {high:.3g}")


def project(site: Site) -> Design:
    """Each kernel becomes its nearest member of the jet, at its best scale and with its gain; nothing is learned."""
    layout, fit = site.geometry, fit_jet(site.kernels())
    kinds = members(layout.size)
    names = tuple(kinds[index] for index in fit.member.tolist())
    nearest = jet_taps(fit.sigma.nan_to_num(_ANY_SCALE), layout.size)[torch.arange(layout.outputs), fit.member]
    taps = fit.gain[:, None, None] * nearest
    became = _counted(sorted(names, key=kinds.index))
    return Design(taps, StoredTaps(taps), names, became, _spread_of(fit.sigma), *_residuals(fit))


def learn_mix(site: Site) -> Design:
    """Each kernel becomes a learned mixture of its jet, which starts as near to the kernel as the jet can get.

    The scale is fixed, the best for the kernel. Members have unit energy here, so that a step of an optimiser moves
    all of them alike.
    """
    layout, fit = site.geometry, fit_jet(site.kernels())
    basis = jet_taps(fit.jet_sigma.nan_to_num(_ANY_SCALE), layout.size)
    norms = basis.flatten(2).norm(dim=2)
    stored = StoredMix(basis / norms[..., None, None], fit.weights * norms)
    became = f"mix of {', '.join(members(layout.size))}"
    return Design(stored().detach()[:, 0], stored, (), became, _spread_of(fit.jet_sigma), *_residuals(fit))


def _residuals(fit: JetFit) -> tuple[float, float]:
    """Energy of all kernels that single members, and the jet, leave; as shares of all energy."""
    total = fit.energy.sum()
    explained = [(fit.energy * share.nan_to_num(0.0)).sum() / total for share in (fit.member_share, fit.jet_share)]
    member, jet = (max(0.0, float(1 - share)) for share in explained)
    return (member, jet) if float(total) > 0 else (nan, nan)


def spread(layout: Geometry, operators: Sequence[str]) -> tuple[str, ...]:
    """Operators for half of the channels and a pass for the others, as in GSSDNet.

    The lowest channels take the n operators in turn, n floor(floor(C/2) / n) of them, or floor(C/2) where that is
    less than one turn. With several outputs a channel, its first passes and the others take the operators: otherwise
    half of the channels would never pass, and the other half several times.
    """
    n, outputs = len(operators), layout.outputs
    if layout.multiplier > 1:
        taking = [out for out in range(outputs) if out % layout.multiplier]
    else:
        taking = list(range(n * (outputs // 2 // n) or outputs // 2))
    turn = dict(zip(taking, cycle(operators)))
    return tuple(turn.get(out, IDENTITY) for out in range(outputs))


def derivatives(size: tuple[int, int]) -> tuple[str, ...]:
    """The derivatives that fit, in GSSDNet's order."""
    return tuple(name for name in SECOND_ORDER if name in members(size))


def _reach(size: tuple[int, int]) -> int:
    """Taps on either side of the centre, along the shorter axis that has any."""
    return min(length for length in size if length > 1) // 2


def _bank(names: Sequence[str], sigma: float, size: tuple[int, int]) -> Float[Tensor, "n tall wide"]:
    """The plan's kernels of these names at one scale."""
    kernels = {name: _kernel(name, sigma, size) for name in set(names)}
    return torch.stack([kernels[name] for name in names])


def _kernel(name: str, sigma: float, size: tuple[int, int]) -> Float[Tensor, "tall wide"]:
    scale = torch.tensor([sigma], dtype=torch.float64)
    if name == "g":
        return _blurs(scale, size)[0]
    if max(size) > 3:
        return _centre(size) if name == IDENTITY else _derivative(name, scale, size)
    y, x = (1 - length // 2 for length in size)
    return torch.tensor(PAPER_TAPS[name], dtype=torch.float64)[y : 3 - y, x : 3 - x]


def _derivative(name: str, sigma: Float[Tensor, "1"], size: tuple[int, int]) -> Float[Tensor, "tall wide"]:
    """Scale-normalised."""
    return jet_taps(sigma, size)[0, members(size).index(name)] * sigma ** sum(ORDERS[name])


def _blurs(sigma: Float[Tensor, " n"], size: tuple[int, int]) -> Float[Tensor, "n tall wide"]:
    """The paper's sampled Gaussian on 3 taps, the discrete scale space's where there are more."""
    family = "sampled" if max(size) == 3 else "discrete"
    tall, wide = (gaussian_taps(sigma, family=family, radius=length // 2) for length in size)
    return tall[:, :, None] * wide[:, None, :]


def _centre(size: tuple[int, int]) -> Float[Tensor, "tall wide"]:
    taps = torch.zeros(size, dtype=torch.float64)
    taps[size[0] // 2, size[1] // 2] = 1
    return taps


def _counted(names: Sequence[str]) -> str:
    counts = Counter("pass" if name == IDENTITY else name for name in names)
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _spread_of(sigma: Float[Tensor, " n"]) -> str:
    """Median and quartiles."""
    known = sigma[~sigma.isnan()]
    if not len(known):
        return "any"
    low, middle, high = known.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
