import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bandscope.errors import InputError
from bandscope.scalespace.kernels import derivative_taps, gaussian_taps, jet_orders, operator_taps, separable_taps

FAMILIES = ["discrete", "sampled", "integrated"]
angles = st.floats(-7, 7)


def response(taps: torch.Tensor, image: str) -> float:
    """The taps correlated with an image given as a formula of x (right) and y (down), at the origin."""
    radius = taps.shape[-1] // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(float)
    formula = {"1": x**0, "x": x, "y": y, "xx/2": x**2 / 2, "xy": x * y, "yy/2": y**2 / 2}[image]
    return float((taps.numpy() * formula).sum())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("radius", [None, 1, 3])
@pytest.mark.parametrize(("operator", "answers"), [
    ("g", {"1": 1, "x": 0, "y": 0, "xy": 0}),
    ("dx", {"1": 0, "x": 1, "y": 0, "xx/2": 0, "xy": 0, "yy/2": 0}),
    ("dy", {"1": 0, "x": 0, "y": 1, "xx/2": 0, "xy": 0, "yy/2": 0}),
    ("dxx", {"1": 0, "x": 0, "y": 0, "xx/2": 1, "xy": 0, "yy/2": 0}),
    ("dxy", {"1": 0, "x": 0, "y": 0, "xx/2": 0, "xy": 1, "yy/2": 0}),
    ("dyy", {"1": 0, "x": 0, "y": 0, "xx/2": 0, "xy": 0, "yy/2": 1}),
    ("laplacian", {"1": 0, "x": 0, "y": 0, "xx/2": 1, "xy": 0, "yy/2": 1}),
])  # fmt: skip
def test_monomials(operator, answers, family, radius):
    taps = operator_taps(operator, 0.9, family=family, radius=radius)
    assert taps.shape[0] == taps.shape[1]
    assert radius is None or len(taps) == 2 * radius + 1
    for image, answer in answers.items():
        assert response(taps, image) == pytest.approx(answer, abs=1e-12)


@given(angle=angles, family=st.sampled_from(FAMILIES))
@settings(max_examples=30)
def test_directional_derivatives_of_planes_and_paraboloids(angle, family):
    c, s = math.cos(angle), math.sin(angle)
    first, second = (operator_taps(name, 1.1, angle=angle, family=family) for name in ("du", "duu"))
    for image, answer in {"1": 0, "x": c, "y": s, "xy": 0}.items():
        assert response(first, image) == pytest.approx(answer, abs=1e-12)
    for image, answer in {"1": 0, "x": 0, "y": 0, "xx/2": c * c, "xy": 2 * c * s, "yy/2": s * s}.items():
        assert response(second, image) == pytest.approx(answer, abs=1e-12)


def test_the_angle_turns_from_x_towards_y_which_points_down():
    down = np.add.outer(np.arange(21.0), np.zeros(21))  # brighter further down
    taps = operator_taps("du", 1.0, angle=math.pi / 2, radius=10).numpy()
    assert (taps * down).sum() == pytest.approx(1, abs=1e-12)


@given(angle=angles)
@settings(max_examples=20)
def test_second_derivatives_across_and_along_make_the_laplacian(angle):
    both = torch.tensor([angle, angle + math.pi / 2], dtype=torch.float64)
    pair = operator_taps("duu", torch.ones(2), angle=both)
    torch.testing.assert_close(pair.sum(0), operator_taps("laplacian", 1.0), rtol=0, atol=1e-14)


@pytest.mark.parametrize("radius", [None, 4])
def test_operators_are_outer_products_of_1d_taps(radius):
    ty, tx = separable_taps((1, 2), 1.3, radius=radius)
    assert torch.equal(ty, derivative_taps(1, 1.3, radius=radius))
    assert torch.equal(tx, derivative_taps(2, 1.3, radius=radius))
    torch.testing.assert_close(operator_taps("dxxy", 1.3, radius=radius), torch.outer(ty, tx), rtol=0, atol=0)


def test_operators_are_padded_to_a_square():
    taps = operator_taps("dx", 1.0)
    blur = gaussian_taps(1.0)
    assert taps.shape == (len(blur) + 2, len(blur) + 2)
    assert (taps[[0, -1]] == 0).all()
    torch.testing.assert_close(taps[1:-1], torch.outer(blur, derivative_taps(1, 1.0)), rtol=0, atol=0)


def test_a_batch_of_sigmas_and_its_gradient():
    sigmas = torch.tensor([0.6, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    angle = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    batch = operator_taps("duu", sigmas, angle=angle, radius=3, gamma=1.0)
    for i in range(3):
        one = operator_taps("duu", sigmas[i], angle=angle[i], radius=3) * sigmas[i] ** 2
        torch.testing.assert_close(batch[i], one, rtol=0, atol=1e-15)
    assert torch.autograd.gradcheck(lambda s, a: operator_taps("du", s, angle=a, radius=3), (sigmas, angle))


def test_jet_orders():
    assert jet_orders(0) == [(0, 0)]
    assert jet_orders(2) == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]  # g, dx, dy, dxx, dxy, dyy
    assert [len(jet_orders(n)) for n in range(5)] == [1, 3, 6, 10, 15]


@pytest.mark.parametrize(("operator", "settings", "message"), [
    ("dxz", {}, "No operator 'dxz'"),
    ("laplace", {}, "Did you mean 'laplacian'"),
    ("du", {}, "angle"),
    ("dx", {"angle": 0.1}, "angle"),
    ("dx", {"radius": 0}, "at least 1"),
    ("dx", {"sigma": 0.0}, "sigma"),
    ("dx", {"family": "box"}, "family"),
])  # fmt: skip
def test_refuses(operator, settings, message):
    with pytest.raises(InputError, match=message):
        operator_taps(operator, **{"sigma": 1.0} | settings)
