import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bandscope.errors import InputError
from bandscope.scalespace import gaussian_blur, gaussian_derivative, jet, operator_taps, scale_space
from bandscope.scalespace.kernels import derivative_name, jet_orders

SCIPY_MODE = {"zero": "constant", "reflect": "mirror", "replicate": "nearest", "circular": "wrap"}
FAMILIES = ["discrete", "sampled", "integrated"]
NAMES = {derivative_name(*order): order for order in jet_orders(2)}


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("border", SCIPY_MODE)
@pytest.mark.parametrize("order", [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (0, 3), (4, 2)])
@pytest.mark.parametrize(("sigma", "radius"), [(0.8, 3), (2.0, 8)])
def test_equals_scipy(border, order, sigma, radius):
    image = noise(13, 17)
    ours = gaussian_derivative(
        image, order, sigma=sigma, family="sampled", border=border, radius=radius, correct=False
    )
    expected = ndimage.gaussian_filter(image.numpy(), sigma, order=order, radius=radius, mode=SCIPY_MODE[border])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("border", ["replicate", "circular", "zero"])
def test_kernels_wider_than_the_image_equal_scipys(border):
    image = noise(4, 7)
    ours = gaussian_blur(image, 6.0, family="sampled", border=border, radius=25)
    expected = ndimage.gaussian_filter(image.numpy(), 6.0, radius=25, mode=SCIPY_MODE[border])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("operator", NAMES)
def test_separable_is_dense_is_fft(family, operator):
    image = noise(20, 23)
    taps = operator_taps(operator, 1.2, family=family)
    radius = len(taps) // 2
    separable = gaussian_derivative(image, NAMES[operator], sigma=1.2, family=family, border="circular")

    padded = F.pad(image[None, None], [radius] * 4, mode="circular")
    dense = F.conv2d(padded, taps[None, None])[0, 0]
    torch.testing.assert_close(separable, dense, rtol=0, atol=1e-12)

    wrapped = torch.zeros_like(image)
    wrapped[: len(taps), : len(taps)] = taps
    spectrum = torch.fft.rfft2(wrapped.roll((-radius, -radius), (0, 1))).conj()  # conj: correlation
    by_fft = torch.fft.irfft2(torch.fft.rfft2(image) * spectrum, s=image.shape)
    torch.testing.assert_close(separable, by_fft, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)])
def test_discrete_family_on_a_plane_wave_in_closed_form(order):
    height, width, sigma = 16, 24, 1.7
    ky, kx = 3, -2  # cycles per image
    wy, wx = 2 * math.pi * ky / height, 2 * math.pi * kx / width
    phase = np.add.outer(wy * np.arange(height), wx * np.arange(width))
    wave = np.exp(1j * phase)

    def gain(w: float, n: int) -> complex:
        curvature = -4 * math.sin(w / 2) ** 2
        return (1j * math.sin(w)) ** (n % 2) * curvature ** (n // 2) * math.exp(curvature * sigma**2 / 2)

    found = gaussian_derivative(
        torch.from_numpy(np.stack([wave.real, wave.imag])), order, sigma=sigma, border="circular", tail=1e-16
    )
    expected = gain(wy, order[0]) * gain(wx, order[1]) * wave
    np.testing.assert_allclose(found, np.stack([expected.real, expected.imag]), rtol=0, atol=1e-12)


def test_sampled_family_on_a_plane_wave_is_the_true_derivative_of_the_continuous_blur():
    size, sigma, k = 32, 2.0, 3
    w = 2 * math.pi * k / size
    x = torch.arange(size, dtype=torch.float64)
    wave = torch.sin(w * x).expand(size, size)
    kernel = {"sigma": sigma, "family": "sampled", "radius": 20, "border": "circular"}
    blur = math.exp(-((w * sigma) ** 2) / 2)
    slope = gaussian_derivative(wave, (0, 1), **kernel)
    torch.testing.assert_close(slope, (w * blur * torch.cos(w * x)).expand(size, size), rtol=0, atol=1e-12)
    curvature = gaussian_derivative(wave.mT, (2, 0), **kernel)
    torch.testing.assert_close(curvature, -(w**2) * blur * wave.mT, rtol=0, atol=1e-12)


def test_semigroup_in_two_dimensions():
    image = noise(3, 24, 24)
    settings = {"tail": 1e-16, "border": "circular"}
    twice = gaussian_blur(gaussian_blur(image, 0.9, **settings), 1.2, **settings)
    torch.testing.assert_close(twice, gaussian_blur(image, 1.5, **settings), rtol=0, atol=1e-12)


@pytest.mark.parametrize("border", SCIPY_MODE)
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients(border, family):
    image = noise(2, 7, 8).requires_grad_()
    sigma = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)

    def derivative(image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return gaussian_derivative(image, (1, 2), sigma=sigma, family=family, border=border, radius=3, gamma=1.0)

    assert torch.autograd.gradcheck(derivative, (image, sigma))


def test_second_gradients():
    image = noise(5, 6).requires_grad_()
    sigma = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda i, s: gaussian_blur(i, s, radius=2), (image, sigma))


def test_a_sigma_can_be_found_by_descent():
    image = noise(24, 24)
    target = gaussian_blur(image, 1.7, radius=8)
    sigma = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([sigma], max_iter=30, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        gap = ((gaussian_blur(image, sigma, radius=8) - target) ** 2).sum()
        gap.backward()
        return gap

    optimiser.step(loss)
    assert sigma.item() == pytest.approx(1.7, abs=1e-5)


def test_jet_is_every_derivative_by_name():
    image = noise(2, 3, 16, 18)
    found = jet(image, 1.1, 3, gamma=1.0, border="replicate")
    assert list(found) == ["g", "dx", "dy", "dxx", "dxy", "dyy", "dxxx", "dxxy", "dxyy", "dyyy"]
    for name, partial in found.items():
        order = (name.count("y"), name.count("x"))
        alone = gaussian_derivative(image, order, sigma=1.1, gamma=1.0, border="replicate")
        assert torch.equal(partial, alone)


def test_jet_is_the_taylor_expansion_of_a_quadratic():
    y, x = torch.meshgrid(*[torch.arange(-30.0, 31, dtype=torch.float64)] * 2, indexing="ij")
    coefficients = {"g": 3.0, "dx": -1.0, "dy": 0.5, "dxx": 0.25, "dxy": -0.75, "dyy": 2.0}
    basis = {"g": x**0, "dx": x, "dy": y, "dxx": x**2 / 2, "dxy": x * y, "dyy": y**2 / 2}
    image = torch.stack([coefficients[name] * basis[name] for name in basis]).sum(0)
    found = {name: partial[30, 30].item() for name, partial in jet(image, 1.0, tail=1e-15).items()}
    blurred = coefficients | {"g": 3.0 + (0.25 + 2.0) / 2}  # heat equation: t/2 times the Laplacian
    assert found == pytest.approx(blurred, abs=1e-11)


def test_scale_space_stacks_before_the_image_axes():
    image = noise(2, 3, 12, 14)
    sigmas = [0.5, 1.5, 1.0]
    stack = scale_space(image, sigmas)
    assert stack.shape == (2, 3, 3, 12, 14)
    for i, sigma in enumerate(sigmas):
        assert torch.equal(stack[:, :, i], gaussian_blur(image, sigma))
    assert scale_space(image[0, 0], torch.tensor(sigmas)).shape == (3, 12, 14)


def test_scale_space_of_a_row_creates_no_extrema():
    # Lindeberg's non-creation of structure, for the discrete family, on a signal that varies along x only
    row = noise(400).expand(3, 400)
    stack = scale_space(row, torch.linspace(0.1, 4, 30), border="circular", tail=1e-15)[:, 1]
    signs = (stack - stack.roll(1, -1)).sign()
    extrema = (signs != signs.roll(1, -1)).sum(-1)
    assert (extrema.diff() <= 0).all()
    assert extrema[-1] < extrema[0]


@given(
    sigma=st.floats(0.05, 3),
    family=st.sampled_from(FAMILIES),
    shift=st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    order=st.sampled_from([(0, 0), (0, 1), (2, 0), (1, 1)]),
)
@settings(max_examples=40)
def test_linear_shift_invariant_and_mean_keeping(sigma, family, shift, order):
    sigma = sigma if family == "discrete" or order == (0, 0) else sigma + 0.4
    f = lambda i: gaussian_derivative(i, order, sigma=sigma, family=family, border="circular")  # noqa: E731
    a, b = noise(2, 9, 11)
    torch.testing.assert_close(f(2 * a - 3 * b), 2 * f(a) - 3 * f(b), rtol=0, atol=1e-11)
    torch.testing.assert_close(f(a.roll(shift, (0, 1))), f(a).roll(shift, (0, 1)), rtol=0, atol=1e-12)
    mean = a.mean() if order == (0, 0) else a.new_zeros(())
    torch.testing.assert_close(f(a).mean(), mean, rtol=0, atol=1e-12)


@given(sigma=st.floats(0.05, 2), border=st.sampled_from(["reflect", "replicate", "circular"]))
@settings(max_examples=30)
def test_blur_stays_within_the_range_and_keeps_constants(sigma, border):
    image = noise(16, 16)
    blurred = gaussian_blur(image, sigma, border=border)
    assert image.min() - 1e-12 <= blurred.min()
    assert blurred.max() <= image.max() + 1e-12
    constant = torch.full((16, 16), 0.7, dtype=torch.float64)
    torch.testing.assert_close(gaussian_blur(constant, sigma, border=border), constant, rtol=0, atol=1e-14)


def test_turning_the_image_turns_the_derivative():
    image = noise(15, 15)
    dx, dy = (gaussian_derivative(image, order, sigma=1.0) for order in ((0, 1), (1, 0)))
    torch.testing.assert_close(gaussian_derivative(image.mT, (1, 0), sigma=1.0), dx.mT, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        gaussian_derivative(image.flip(-1), (0, 1), sigma=1.0), -dx.flip(-1), rtol=0, atol=1e-13
    )
    torch.testing.assert_close(
        gaussian_derivative(image.flip(-2), (1, 0), sigma=1.0), -dy.flip(-2), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("shape", [(9, 8), (1, 9, 8), (2, 3, 9, 8), (2, 1, 2, 2, 9, 8)])
def test_any_leading_dimensions(shape):
    image = noise(*shape)
    out = gaussian_blur(image, 0.8)
    assert out.shape == image.shape
    one_by_one = [gaussian_blur(single, 0.8) for single in image.reshape(-1, 9, 8)]
    torch.testing.assert_close(out.reshape(-1, 9, 8), torch.stack(one_by_one), rtol=0, atol=1e-15)


def test_memory_layout_and_the_input_are_left_alone():
    image = noise(2, 3, 12, 12).to(memory_format=torch.channels_last)
    before = image.clone()
    torch.testing.assert_close(gaussian_blur(image, 1.0), gaussian_blur(image.contiguous(), 1.0), rtol=0, atol=1e-15)
    assert torch.equal(image, before)


def test_arrays_come_back_as_arrays():
    image = noise(2, 12, 13).numpy()[:, ::-1]
    tensor = torch.from_numpy(image.copy())
    stack, partials = scale_space(image, [1.0, 2.0]), jet(image, 1.0)
    assert isinstance(stack, np.ndarray)
    np.testing.assert_array_equal(stack, scale_space(tensor, [1.0, 2.0]))
    np.testing.assert_array_equal(partials["dxy"], gaussian_derivative(tensor, (1, 1), sigma=1.0))


@pytest.mark.parametrize(("dtype", "tolerance"), [
    (torch.float64, 1e-14), (torch.float32, 1e-6), (torch.float16, 1e-3), (torch.bfloat16, 8e-3),
])  # fmt: skip
def test_dtype_is_kept(dtype, tolerance):
    image = noise(16, 16)
    out = gaussian_derivative(image.to(dtype), (0, 2), sigma=1.0)
    assert out.dtype == dtype
    exact = gaussian_derivative(image.to(dtype).double(), (0, 2), sigma=1.0)
    torch.testing.assert_close(out.double(), exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("image", [
    torch.zeros(8, 8, dtype=torch.uint8),
    torch.zeros(8, 8, dtype=torch.complex64),
    torch.zeros(8),
    torch.zeros(0, 8, 8),
    np.zeros((8, 8), dtype=np.int64),
    np.zeros(8),
])  # fmt: skip
def test_refuses_images(image):
    for call in (lambda i: gaussian_blur(i, 1.0), lambda i: jet(i, 1.0), lambda i: scale_space(i, [1.0])):
        with pytest.raises(InputError, match="floating-point images"):
            call(image)


@pytest.mark.parametrize("sigma", [0.0, -2.0, math.nan, math.inf, torch.ones(2)])
def test_refuses_sigma(sigma):
    with pytest.raises(InputError, match="sigma"):
        gaussian_blur(noise(8, 8), sigma)
    with pytest.raises(InputError, match="sigma"):
        jet(noise(8, 8), sigma)


@pytest.mark.parametrize("order", [(0, 5), (-1, 0), (1,), (0, 1, 0)])
def test_refuses_orders(order):
    with pytest.raises(InputError, match="order"):
        gaussian_derivative(noise(8, 8), order, sigma=1.0)


@pytest.mark.parametrize("order", [-1, 5])
def test_refuses_jet_orders(order):
    with pytest.raises(InputError, match="order"):
        jet(noise(8, 8), 1.0, order)


def test_refuses_borders_and_kernels_wider_than_the_mirror():
    with pytest.raises(InputError, match="Did you mean 'reflect'"):
        gaussian_blur(noise(8, 8), 1.0, border="reflection")
    with pytest.raises(InputError, match="radius up to 7"):
        gaussian_blur(noise(8, 20), 1.0, radius=8)
    assert gaussian_blur(noise(8, 20), 1.0, radius=7).isfinite().all()


@pytest.mark.parametrize("sigmas", [[], torch.ones(1, 1), torch.tensor(1.0), [1.0, 0.0]])
def test_refuses_sigma_lists(sigmas):
    with pytest.raises(InputError, match="sigma"):
        scale_space(noise(8, 8), sigmas)


def test_an_array_that_must_not_be_written_is_read():
    image = noise(12, 12).numpy()
    image.flags.writeable = False
    assert gaussian_blur(image, 1.0).shape == (12, 12)
