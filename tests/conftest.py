import os
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

if "PYTEST_XDIST_WORKER" in os.environ:  # before PyTorch is imported: processes side by side take a core each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("untimed", deadline=None)  # machines are shared: no test fails for being slow
settings.load_profile("untimed")

install_import_hook(
    [
        "bandscope.spectral",
        "bandscope.scalespace",
        "bandscope.nn",
        "bandscope.preprocess",
        "bandscope.probes",
        "bandscope.engine",
        "bandscope.analysis",
        *(f"bandscope.training.{name}" for name in ("augment", "data", "draws", "filters", "pixels")),
    ],
    "typechecking.checker",
)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images and weights, or a visible skip."""
    folder = os.environ.get("BANDSCOPE_DATA")
    if not folder:
        pytest.skip("BANDSCOPE_DATA is not set: real images and weights are not here")
    return Path(folder)
