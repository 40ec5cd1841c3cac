"""Kill -9 at the very steps that a run takes on disk: each folder made, file renamed or removed."""

import os
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest
from disturbed import FEW, PROBES, audit, check_finished, check_readable, finish, ordinary

SMALL = "planted?per_class=4"  # 36 images: two blocks
STEPS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir")  # as Python tells its audit hooks
BEGINNINGS = {"new": {}, "overwrite": {"overwrite": True}, "extend": {"extend": True}}


def dying(last: int, store: Path, counted: Path, **options) -> None:
    """Audit, and die before the step that follows the `last`; else tell how many there were."""
    steps = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        if event in STEPS and str(store.parent) in str(arguments[0]):
            steps += 1
            if steps > last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    audit(store, SMALL, **options)
    counted.write_text(str(steps))


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """The store that is replaced or extended."""
    path = tmp_path_factory.mktemp("few") / "a.zarr"
    assert finish(audit, path, SMALL, probes=FEW) == 0
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The undisturbed run's store."""
    path = tmp_path_factory.mktemp("whole") / "a.zarr"
    assert finish(audit, path, SMALL) == 0
    return path


@pytest.fixture(scope="module")
def steps(tmp_path_factory, few) -> dict[str, int]:
    """How many steps each beginning takes."""
    found = {}
    for name, options in BEGINNINGS.items():
        folder = tmp_path_factory.mktemp(name)
        if options:
            shutil.copytree(few, folder / "a.zarr")
        assert finish(dying, sys.maxsize, folder / "a.zarr", folder / "steps", **options) == 0
        found[name] = int((folder / "steps").read_text())
    return found


@pytest.mark.parametrize("seed", ordinary(range(60), 1))
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_killed_at_a_step(tmp_path, few, whole, steps, beginning, seed):
    store, options = tmp_path / "a.zarr", BEGINNINGS[beginning]
    if options:
        shutil.copytree(few, store)
    last = random.Random(f"{beginning} {seed}").randrange(steps[beginning])
    assert finish(dying, last, store, tmp_path / "steps", **options) == -signal.SIGKILL
    if store.exists() and not (store / "band_pass").exists():
        check_finished(store, few)
    else:
        check_readable(store, whole)
    assert finish(audit, store, SMALL, probes=PROBES, **options) == 0
    check_finished(store, whole)
