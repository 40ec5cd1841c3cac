"""Tables as the analysis makes them, with invented but plausible numbers, to draw figures from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

SIDE = 224
RADII = np.arange(5.0, 161.0, 5.0)
GROUPS = (
    "birds", "dogs", "cats and wild cats", "reptiles and amphibians", "insects and spiders", "fish and sea life",
    "wheeled vehicles", "boats and aircraft", "musical instruments", "clothing", "furniture", "kitchen and tableware",
    "food and drink", "buildings and structures", "tools and hardware", "electronic devices", "natural scenes",
)  # fmt: skip


def wilson(share: np.ndarray, n: float | np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return centre - half, centre + half


def rising(radii: np.ndarray | float, centre: np.ndarray | float, sharpness: float = 4.0) -> np.ndarray:
    """From 0 to 1; a half at `centre`."""
    return radii**sharpness / (radii**sharpness + centre**sharpness)


def curve_table(
    probe: str = "low_pass",
    group: str = "all",
    *,
    n: int = 500,
    clean: float = 0.72,
    centre: float = 42.0,
    sharpness: float = 3.0,
    radii: np.ndarray = RADII,
    side: int = SIDE,
    conflict: float = 0.0,
) -> pd.DataFrame:
    """One group's curve of a low-pass or high-pass probe."""
    about = pd.DataFrame({"name": [group], "n": n, "clean": clean, "centre": centre, "conflict": conflict})
    return _curves(probe, about, radii, side, sharpness)


def _curves(probe: str, about: pd.DataFrame, radii: np.ndarray, side: int, sharpness: float) -> pd.DataFrame:
    name, n, clean, centre, conflict = (np.repeat(about[column], len(radii)).to_numpy() for column in about)
    radius = np.tile(radii, len(about))
    shape = rising(radius, centre, sharpness) - conflict * rising(radius, 95.0, 6.0)
    accuracy = clean * (shape if probe.startswith("low") else 1 - rising(radius, centre / 4, sharpness))
    accuracy = np.clip(np.round(accuracy * n) / n, 0, 1)
    low, high = wilson(accuracy, n)
    top5 = np.minimum(1, accuracy * 1.2)
    top5_low, top5_high = wilson(top5, n)
    return pd.DataFrame({
        "probe": probe, "group": name, "n": n, "radius": radius, "frequency": radius / side,
        "accuracy": accuracy, "ci_low": low, "ci_high": high,
        "top5": top5, "top5_ci_low": top5_low, "top5_ci_high": top5_high,
        "probability": 0.9 * accuracy, "probability_ci_low": 0.9 * low, "probability_ci_high": 0.9 * high,
        "clean": clean, "relative": accuracy / clean,
        "relative_ci_low": low / clean, "relative_ci_high": high / clean,
    })  # fmt: skip


def overall(probes: Sequence[str] = ("low_pass", "high_pass"), **settings: object) -> pd.DataFrame:
    return pd.concat([curve_table(probe, **settings) for probe in probes], ignore_index=True)  # type: ignore[arg-type]


def band_probe(kind: str = "band_pass", n: int = 500) -> pd.DataFrame:
    low, high = np.array([0.0, 10, 20, 40, 80]), np.array([10.0, 20, 40, 80, 159])
    accuracy = np.array([0.01, 0.12, 0.43, 0.3, 0.04])
    ci_low, ci_high = wilson(accuracy, n)
    return pd.DataFrame({
        "probe": kind, "group": "all", "n": n, "low": low, "high": high, "low_frequency": low / SIDE,
        "high_frequency": high / SIDE, "accuracy": accuracy, "ci_low": ci_low, "ci_high": ci_high, "clean": 0.72,
        "relative": accuracy / 0.72, "relative_ci_low": ci_low / 0.72, "relative_ci_high": ci_high / 0.72,
    })  # fmt: skip


def group_settings(names: Sequence[str], seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    centre = rng.uniform(22, 70, len(names))
    clean = np.clip(1.02 - 0.006 * centre + rng.normal(0, 0.05, len(names)), 0.2, 1)
    conflict = np.where(np.arange(len(names)) % 7 == 4, 0.25, 0.0)
    n = rng.integers(20, 48, len(names))
    return pd.DataFrame({"name": list(names), "n": n, "clean": clean, "centre": centre, "conflict": conflict})


def by_group(
    names: Sequence[str] = GROUPS, *, classes: bool = False, radii: np.ndarray = RADII, seed: int = 3,
    probes: Sequence[str] = ("low_pass", "high_pass"),
) -> pd.DataFrame:  # fmt: skip
    """Curves by group, or by class with `classes`."""
    about = group_settings(names, seed)
    parts = [_curves(probe, about, radii, SIDE, 4.0) for probe in probes]
    index = {"class_index": np.repeat(np.arange(len(names)), len(radii))} if classes else {}
    return pd.concat([part.assign(**index) for part in parts], ignore_index=True)


def bands_of(
    names: Sequence[str] = GROUPS, *, classes: bool = False, seed: int = 3, undefined: Sequence[int] = (),
    probes: Sequence[str] = ("low_pass", "high_pass"),
) -> pd.DataFrame:  # fmt: skip
    """The bands that go with `by_group`; rows in `undefined` have none, and say why."""
    settings = group_settings(names, seed)
    parts = [_bands(settings, probe, classes=classes, undefined=undefined) for probe in probes]
    return pd.concat(parts, ignore_index=True)


def _bands(settings: pd.DataFrame, probe: str, *, classes: bool, undefined: Sequence[int]) -> pd.DataFrame:
    centre = settings["centre"] if probe.startswith("low") else settings["centre"] / 4
    r10, r90 = centre * (1 / 9) ** 0.25, centre * 9**0.25
    lack = settings.index.isin(list(undefined))
    numbers = pd.DataFrame({
        "r10": r10, "r10_ci_low": 0.9 * r10, "r10_ci_high": 1.1 * r10,
        "r50": centre, "r50_ci_low": 0.88 * centre, "r50_ci_high": 1.1 * centre,
        "r90": r90, "r90_ci_low": 0.9 * r90, "r90_ci_high": 1.15 * r90,
        "width": r90 - r10, "octaves": np.log2(r90 / r10),
    })  # fmt: skip
    numbers[lack] = np.nan
    low, high = wilson(settings["clean"].to_numpy(), settings["n"].to_numpy())
    return pd.DataFrame({
        "probe": probe, "group": settings["name"], **({"class_index": settings.index} if classes else {}),
        "n": settings["n"], **numbers,
        "accuracy": settings["clean"], "accuracy_ci_low": low, "accuracy_ci_high": high,
        "reason": np.where(lack, "too few images", ""),
    })  # fmt: skip


def correlations() -> pd.DataFrame:
    return pd.DataFrame({
        "probe": ["low_pass"] * 3, "quantity": ["r50", "width", "octaves"], "rho": [-0.71, -0.64, 0.08],
        "ci_low": [-0.88, -0.84, -0.41], "ci_high": [-0.36, -0.22, 0.53], "p": [0.0014, 0.0056, 0.76], "n": 17,
        "reason": "",
    })  # fmt: skip


LABEL, RIVAL = "barn spider", "harvestman"


def sample(radii: np.ndarray = RADII) -> pd.DataFrame:
    """A spider that becomes a harvestman when the high frequencies come in."""
    late = rising(radii, 88.0, 12.0) - 0.75 * rising(radii, 138.0, 16.0)
    label = 0.9 * rising(radii, 36.0, 5.0) * (1 - 0.85 * late)
    rival = 0.82 * late
    curves = {
        LABEL: label, RIVAL: rival,
        "black and gold garden spider": 0.75 * rising(radii, 14, 5) * rising(30, radii, 5),
        "spider web": 0.4 * rising(radii, 8, 4) * rising(22, radii, 6),
    }  # fmt: skip
    parts = [
        pd.DataFrame({"radius": radii, "frequency": radii / SIDE, "class_name": name, "probability": values})
        for name, values in curves.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    table.loc[table["probability"] < 0.004, "probability"] = np.nan
    return table


def sample_takeovers() -> pd.DataFrame:
    return pd.DataFrame({
        "image": 7, "source": "n01773549/7.JPEG", "label": 73, "label_name": LABEL, "probe": "low_pass",
        "group": LABEL, "from_radius": [90.0], "to_radius": [140.0], "usurper_index": [70],
        "usurper": [RIVAL], "usurper_probability": [0.66],
    })  # fmt: skip


def texture(side: int = 96, seed: int = 0, channels: int = 3) -> np.ndarray:
    """A picture in [0, 1] with something at every frequency."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    disc = 1 / (1 + np.exp((np.hypot(x, y) - 0.3) * 60))
    picture = 0.45 + 0.3 * disc * np.sin(60 * x + 25 * y) + 0.2 * disc + 0.06 * rng.normal(size=(side, side))
    tint = np.array([1.0, 0.85, 0.6])[:channels]
    return np.clip(picture[..., None] * tint, 0, 1)


def low_passed(picture: np.ndarray, radius: float) -> np.ndarray:
    side = picture.shape[0]
    line = np.fft.fftfreq(side, 1 / side)
    keep = np.hypot(line[:, None], line[None]) <= radius
    filtered = np.fft.ifft2(np.fft.fft2(picture, axes=(0, 1)) * keep[..., None], axes=(0, 1)).real
    return np.clip(filtered, 0, 1)
