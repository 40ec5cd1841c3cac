"""Several classifiers in one pass: the stores that each alone would make."""

import fakes
import numpy as np
import pytest

import bandscope as bs
from bandscope.errors import InputError, StoreError
from bandscope.preprocess import Preprocess

PROBES = (bs.LowPass([1, 3, 20]), bs.HighPass([1, 3]))


class Source(fakes.FakeSource):
    """Counts how often each image is decoded."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.decoded = []

    def __getitem__(self, position):
        self.decoded.append(position)
        return super().__getitem__(position)


def classifiers():
    return [fakes.FakeClassifier(seed=seed) for seed in (0, 1)]


def together(folder, models=None, source=None, probes=PROBES, **settings):
    paths = [folder / "one.zarr", folder / "two.zarr"]
    models = models or classifiers()
    source = source or fakes.FakeSource(45)
    return paths, bs.audit_together(models, source, out=paths, probes=probes, **settings)


def test_they_are_the_stores_that_each_alone_would_make(tmp_path):
    source = Source(45, corrupt=[7])
    paths, cubes = together(tmp_path, source=source)
    assert sorted(source.decoded) == list(range(45))  # each image once, for both
    for seed, (path, cube) in enumerate(zip(paths, cubes, strict=True)):
        alone = tmp_path / f"alone-{seed}.zarr"
        bs.audit(fakes.FakeClassifier(seed=seed), fakes.FakeSource(45, corrupt=[7]), out=alone, probes=PROBES)
        mine, other = fakes.files_of(path), fakes.files_of(alone)
        differing = {name for name in mine if mine[name] != other.get(name)}
        assert differing <= {"zarr.json"}  # where the command line is kept
        assert cube.attrs["model"]["weights_sha256"] == f"seed {seed}"


def test_filters_are_computed_once_and_each_model_answers_by_itself(tmp_path):
    models = classifiers()
    _, (one, two) = together(tmp_path, models)
    assert len(models[0].batches) == len(models[1].batches)
    assert not np.array_equal(one["low_pass"].probability, two["low_pass"].probability)


def test_a_killed_run_goes_on_where_each_store_stopped(tmp_path):
    class Killed(BaseException):
        pass

    done = []

    def kill(passes, *_):
        done.append(passes)
        if len(done) > 6:
            raise Killed

    with pytest.raises(Killed):
        together(tmp_path, batch_size=16, progress=kill)
    bs.audit(classifiers()[0], fakes.FakeSource(45), out=tmp_path / "one.zarr", probes=PROBES)  # one is ahead
    source, models = Source(45), classifiers()
    paths, _ = together(tmp_path, models, source)
    assert len(models[0].batches) == 1  # the look at its outputs, nothing else
    whole = tmp_path / "whole"
    undisturbed, _ = together(whole, batch_size=16)
    for path, other in zip(paths, undisturbed, strict=True):
        mine, theirs = fakes.files_of(path), fakes.files_of(other)
        assert {name for name in mine if mine[name] != theirs.get(name)} <= {"zarr.json"}


def test_a_model_that_fails_on_an_image_fails_alone(tmp_path):
    def spoiled(batch, logits):
        logits = logits.clone()
        logits[3] = float("nan")
        return logits

    models = [fakes.FakeClassifier(seed=0), fakes.FakeClassifier(spoiled, seed=1)]
    models[1].fault = None
    fault = models[1]
    fault.fault = lambda batch, logits: spoiled(batch, logits) if len(batch) > 3 else logits
    _, (one, two) = together(tmp_path, models)
    assert (one.status.values == "ok").all()
    assert "non-finite" in str(two.status.values[3])


def test_other_preprocessing_is_refused_before_anything_is_made(tmp_path):
    other = fakes.FakeClassifier(seed=1)
    other.preprocess = Preprocess(size=(20, 20), resize=None, mean=(0.5, 0.5, 0.5), std=(0.2, 0.25, 0.3))
    with pytest.raises(InputError, match=r"cannot be audited in one pass.*mean"):
        together(tmp_path, [fakes.FakeClassifier(), other])
    assert not list(tmp_path.iterdir())


def test_each_needs_a_store_of_its_own(tmp_path):
    path = tmp_path / "a.zarr"
    with pytest.raises(InputError, match="each needs a store of its own"):
        bs.audit_together(classifiers(), fakes.FakeSource(5), out=[path, path], probes=PROBES)
    with pytest.raises(InputError, match="2 models, 1 stores"):
        bs.audit_together(classifiers(), fakes.FakeSource(5), out=[path], probes=PROBES)
    assert not path.exists()


def test_stores_of_other_conditions_or_settings_are_refused(tmp_path):
    paths, _ = together(tmp_path)
    bs.audit(classifiers()[1], fakes.FakeSource(45), out=paths[1], probes=[bs.LowPass([5])], extend=True)
    with pytest.raises(StoreError, match="hold other conditions"):
        together(tmp_path)
    bs.audit(classifiers()[1], fakes.FakeSource(45), out=paths[1], probes=PROBES, batch_size=8, overwrite=True)
    with pytest.raises(StoreError, match="batch_size: 32 asked, 8 stored"):
        together(tmp_path)


def test_shards_share_both_stores(tmp_path):
    for number in (2, 1):
        paths, _ = together(tmp_path / "shards", shard=f"{number}/2")
    undisturbed, _ = together(tmp_path / "whole")
    for path, other in zip(paths, undisturbed, strict=True):
        mine, theirs = fakes.files_of(path), fakes.files_of(other)
        assert {name for name in mine if mine[name] != theirs.get(name)} <= {"zarr.json"}


def test_a_pilot_looks_at_the_first_model(tmp_path):
    _, (one, two) = together(tmp_path, adaptive=0.1, probes=[bs.LowPass([1, 14])])
    assert one["low_pass"].radius.values.tolist() == two["low_pass"].radius.values.tolist()
    assert one.attrs["pilot"]["radii"] == one["low_pass"].radius.values.tolist()
