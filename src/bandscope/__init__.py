"""bandscope: which spatial frequencies and scales an image classifier lives on.

Names are imported when they are first used: `import bandscope` loads neither torch nor matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "audit": "bandscope.api",
    "audit_together": "bandscope.api",
    "open": "bandscope.cube",
    "band_pass": "bandscope.spectral.transform",
    "band_stop": "bandscope.spectral.transform",
    "high_pass": "bandscope.spectral.transform",
    "low_pass": "bandscope.spectral.transform",
    "FrequencyFilter": "bandscope.spectral.vision",
    "gaussian_blur": "bandscope.scalespace",
    "gaussian_derivative": "bandscope.scalespace",
    "jet": "bandscope.scalespace",
    "scale_space": "bandscope.scalespace",
    "BandPass": "bandscope.probes",
    "BandStop": "bandscope.probes",
    "HighPass": "bandscope.probes",
    "LowPass": "bandscope.probes",
    "ObjectSize": "bandscope.probes",
    "Pilot": "bandscope.engine.pilot",
    "Zoom": "bandscope.probes",
    "Convention": "bandscope.conventions",
    "Preprocess": "bandscope.preprocess",
    "ClassLabel": "bandscope.labels",
    "load_classifier": "bandscope.classifiers",
    "save_checkpoint": "bandscope.classifiers.checkpoint",
    "save_exported": "bandscope.classifiers.exported",
    "ArraySource": "bandscope.datasets",
    "load_source": "bandscope.datasets",
    "Recipe": "bandscope.training",
    "train": "bandscope.training",
    "at_zoom": "bandscope.analysis",
    "band_accuracy": "bandscope.analysis",
    "band_differences": "bandscope.analysis",
    "bands": "bandscope.analysis",
    "clean": "bandscope.analysis",
    "common_images": "bandscope.analysis",
    "compare": "bandscope.analysis",
    "conflicts": "bandscope.analysis",
    "curves": "bandscope.analysis",
    "differences": "bandscope.analysis",
    "reach": "bandscope.analysis",
    "sample_curves": "bandscope.analysis",
    "sample_figure": "bandscope.report.sample",
    "samples": "bandscope.analysis",
    "scale_law": "bandscope.analysis",
    "scale_points": "bandscope.analysis",
    "scale_surface": "bandscope.analysis",
    "similarity_summary": "bandscope.analysis",
    "similarity": "bandscope.analysis",
    "takeovers": "bandscope.analysis",
    "telling": "bandscope.analysis",
    "usurpers": "bandscope.analysis",
    "wins": "bandscope.analysis",
    "write_report": "bandscope.report.html",
    "BandscopeError": "bandscope.errors",
    "DataError": "bandscope.errors",
    "ImageError": "bandscope.errors",
    "InputError": "bandscope.errors",
    "ModelError": "bandscope.errors",
    "StoreError": "bandscope.errors",
}

__all__ = ["__version__", *_NAMES]  # noqa: PLE0604

if TYPE_CHECKING:
    from bandscope.api import audit as audit
    from bandscope.api import audit_together as audit_together
    from bandscope.cube import open as open  # noqa: A004
    from bandscope.engine.pilot import Pilot as Pilot
    from bandscope.probes import BandPass as BandPass
    from bandscope.probes import BandStop as BandStop
    from bandscope.probes import HighPass as HighPass
    from bandscope.probes import LowPass as LowPass
    from bandscope.probes import ObjectSize as ObjectSize
    from bandscope.probes import Zoom as Zoom


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'bandscope' has no attribute {name!r}")
    value = getattr(import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
