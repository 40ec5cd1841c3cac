from pathlib import Path

import pytest

pytest.register_assert_rewrite("disturbed")

from disturbed import audit, finish  # noqa: E402  (after the rewrite)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run's store."""
    path = tmp_path_factory.mktemp("whole") / "a.zarr"
    assert finish(audit, path) == 0
    return path
