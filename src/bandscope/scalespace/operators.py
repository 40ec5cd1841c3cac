"""Two-dimensional operators made of 1-D taps. x runs to the right (columns), y down (rows)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bandscope.errors import InputError, nearest
from bandscope.scalespace.derivatives import HIGHEST_ORDER, checked_reach, derivative_taps
from bandscope.scalespace.smoothing import TAIL, checked_sigma, resolved_radius

STEERED = ("du", "duu")


def derivative_name(ny: int, nx: int) -> str:
    """The name of a partial derivative, x before y: (1, 2) is "dxxy", (0, 0) is "g"."""
    return "d" + "x" * nx + "y" * ny if nx + ny else "g"


def _jet_orders(order: int) -> list[tuple[int, int]]:
    return [(ny, n - ny) for n in range(order + 1) for ny in range(n + 1)]


PARTIAL = {derivative_name(ny, nx): (ny, nx) for ny, nx in _jet_orders(HIGHEST_ORDER)}


def jet_orders(order: int) -> list[tuple[int, int]]:
    """(ny, nx) of every partial derivative up to a total order: g, dx, dy, dxx, dxy, dyy, dxxx, dxxy, ..."""
    checked_reach(order)
    return _jet_orders(order)


def separable_taps(
    order: tuple[int, int],
    sigma: float | Tensor,
    *,
    family: str = "discrete",
    radius: int | None = None,
    tail: float = TAIL,
    gamma: float | None = None,
    correct: bool = True,
) -> tuple[Float[Tensor, "*n tall"], Float[Tensor, "*n wide"]]:
    """The two 1-D factors (down y, along x) of a partial derivative, float64.

    Args:
        order: (ny, nx), each 0 to 4.
        sigma: standard deviation of the blur in pixels, or a 1-D tensor of them.
        family: see `derivative_taps`, as are the following.
        radius: taps on either side of the centre, of both factors.
        tail: mass of the blur that may be cut.
        gamma: scale normalisation.
        correct: exact moments for sampled and integrated kernels.

    Returns:
        Taps down y and along x, (k,) each, or (n, k) for n sigmas.

    Raises:
        InputError: as `derivative_taps`.
    """
    ny, nx = order

    def taps(n: int) -> Tensor:
        return derivative_taps(n, sigma, family=family, radius=radius, tail=tail, gamma=gamma, correct=correct)

    return taps(ny), taps(nx)


def operator_taps(
    operator: str,
    sigma: float | Tensor,
    *,
    angle: float | Tensor | None = None,
    family: str = "discrete",
    radius: int | None = None,
    tail: float = TAIL,
    gamma: float | None = None,
    correct: bool = True,
) -> Float[Tensor, "*n side side"]:
    """Square correlation taps of an operator; float64, differentiable in sigma and angle.

    Args:
        operator: "g" (blur), a partial derivative ("dx", "dy", "dxx", "dxy", "dyy", "dxxx" ... up to order 4),
            "laplacian", or "du" and "duu", the first and second derivative along `angle`.
        sigma: standard deviation of the blur in pixels, or a 1-D tensor of them.
        angle: direction of "du" and "duu" in radians from x towards y, which is clockwise on a screen: one number, or
            one for each sigma.
        family: see `gaussian_taps`.
        radius: taps on either side of the centre in both directions; None: what the tail and the operator need.
        tail: see `derivative_taps`, as are gamma and correct.
        gamma: scale normalisation.
        correct: exact moments for sampled and integrated kernels.

    Returns:
        Taps (k, k), or (n, k, k) for n sigmas, with k = 2 radius + 1.

    Raises:
        InputError: an unknown operator, an angle without need or none where one is needed, or as `derivative_taps`.
    """
    sigmas = checked_sigma(sigma)
    terms = _terms(operator, None if angle is None else torch.as_tensor(angle, dtype=torch.float64).to(sigmas))
    reach = max(checked_reach(n) for name in terms for n in PARTIAL[name])
    side = 2 * resolved_radius(radius, sigmas, family=family, tail=tail, reach=reach) + 1
    out = torch.zeros((), dtype=sigmas.dtype, device=sigmas.device)
    for name, weight in terms.items():
        ty, tx = separable_taps(
            PARTIAL[name], sigmas, family=family, radius=radius, tail=tail, gamma=gamma, correct=correct
        )
        out = out + weight * _padded_outer(ty, tx, side)
    return out


def _terms(operator: str, angle: Float[Tensor, "*n"] | None) -> dict[str, float | Tensor]:
    """The operator as a weighted sum of partial derivatives."""
    if (operator in STEERED) != (angle is not None):
        raise InputError(f"An angle belongs to the operators {', '.join(STEERED)} and to no other; got {operator!r}.")
    if operator == "laplacian":
        return {"dxx": 1.0, "dyy": 1.0}
    if angle is not None:
        return _steered(operator, angle[..., None, None])
    if operator not in PARTIAL:
        names = ("g", "dx", "dy", "dxx", "dxy", "dyy", "laplacian", *STEERED)
        raise InputError(f"No operator {operator!r}; there are {', '.join(names)}.{nearest(operator, names)}")
    return {operator: 1.0}


def _steered(operator: str, angle: Float[Tensor, "*n 1 1"]) -> dict[str, float | Tensor]:
    """Directional derivatives from the jet (Freeman & Adelson 1991)."""
    c, s = angle.cos(), angle.sin()
    return {"dx": c, "dy": s} if operator == "du" else {"dxx": c * c, "dxy": 2 * c * s, "dyy": s * s}


def _padded_outer(
    ty: Float[Tensor, "*n tall"], tx: Float[Tensor, "*n wide"], side: int
) -> Float[Tensor, "*n side side"]:
    y, x = ((side - taps.shape[-1]) // 2 for taps in (ty, tx))
    return F.pad(ty[..., :, None] * tx[..., None, :], (x, x, y, y))
