"""Radii by bisection: on curves that are known, on filters that are known, and in audits."""

import math
import subprocess
import sys
import textwrap
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from fakes import SIZE, FakeClassifier, FakeSource, files_of
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bandscope as bs
from bandscope.conventions import PRESETS
from bandscope.engine.pilot import bins_kept_from, bisected, coarse_radii, further_radii, middle
from bandscope.errors import DataError, InputError, StoreError
from bandscope.probes import default_radii
from bandscope.spectral.gains import low_pass_gain

STOP = 60


class Curves:
    """Accuracies that jump at given radii; remembers what it was asked."""

    def __init__(self, jumps):
        self.jumps, self.curve, self.rounds = jumps, {}, 0

    def at(self, radius):
        return [sum(height for place, height in own if place <= radius) for own in self.jumps]

    def measure(self, new):
        assert not {*new} & {*self.curve}  # each radius once
        assert list(new) == sorted({*new})
        self.rounds += 1
        self.curve |= {radius: self.at(radius) for radius in new}
        radii = tuple(sorted(self.curve))
        return radii, np.array([self.curve[radius] for radius in radii], dtype=float).T


def jumps(signs):
    place, height = st.floats(0, STOP), st.floats(0, 0.4).flatmap(lambda h: st.sampled_from([s * h for s in signs]))
    return st.lists(st.tuples(place, height), max_size=8)


def starts():
    whole, part = st.integers(0, STOP).map(float), st.floats(0, STOP)
    return st.sets(st.one_of(whole, part), min_size=2, max_size=8).map(lambda radii: tuple(sorted(radii)))


@settings(max_examples=200)
@given(
    st.lists(st.one_of(jumps([1]), jumps([-1]), jumps([1, -1])), min_size=1, max_size=3),
    starts(),
    st.floats(0.01, 0.5),
)
def test_every_interval_that_is_left_is_flat_or_as_short_as_can_be(heights, start, tolerance):
    curves, soft = Curves(heights), [None] * len(heights)
    radii = bisected(curves.measure, start, tolerance, soft)
    assert list(radii) == sorted({*curves.curve})
    assert {*start} <= {*radii}
    for low, high in pairwise(radii):
        step = max(abs(a - b) for a, b in zip(curves.at(low), curves.at(high), strict=True))
        assert step <= tolerance + 1e-6 or math.floor(low) + 1 >= high  # no whole radius between them
    uniform = {*map(float, range(math.ceil(start[0]), math.floor(start[-1]) + 1))}
    assert {*radii} <= {*start} | uniform
    again = Curves(heights)
    assert bisected(again.measure, radii, tolerance, soft) == radii
    assert again.rounds == 1


@given(st.floats(0.5, 1024), st.sampled_from([1, -1]))
def test_one_step_costs_a_logarithm(place, height):
    curves = Curves([[(place, height)]])
    radii = bisected(curves.measure, (0.0, 1024.0), 0.5, [None])
    assert len(radii) <= 2 + 10
    below, above = (max(r for r in radii if r < place), min(r for r in radii if r >= place))
    assert above - below <= 1


def test_a_flat_curve_gets_no_further_radius():
    curves = Curves([[(0, 0.5)], [(0, 0.5), (3, 0.02)]])
    assert 0.52 - 0.5 > 0.02  # in floats; it is no jump for that
    assert bisected(curves.measure, (0.0, 10.0), 0.02, [None, None]) == (0.0, 10.0)


def test_a_radius_that_one_probe_needs_is_a_radius_of_all():
    accuracy = np.array([[0.1, 0.1, 0.9], [0.9, 0.5, 0.5]])
    assert further_radii((0.0, 8.0, 20.0), accuracy, 0.1, [None, None]) == (4.0, 14.0)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(20, 20), (9, 15), (16, 7)])
def test_a_middle_changes_the_filter_towards_both_ends(size, preset):
    convention = PRESETS[preset]
    bins = bins_kept_from(size, convention)
    whole = [float(r) for r in range(17)]
    gain = {r: low_pass_gain(*size, r, convention=convention).tobytes() for r in (*whole, 0.5, 2.5, 6.9, 40.0)}
    for low, high in combinations(sorted(gain), 2):
        between = [r for r in whole if low < r < high and gain[r] not in (gain[low], gain[high])]
        found = middle(low, high, bins)
        assert found in (between or [None])
        if between:
            distance = [abs(r - (low + high) / 2) for r in between]
            assert abs(found - (low + high) / 2) == pytest.approx(min(distance))


def test_the_coarse_start_spans_the_default_radii():
    start, full = coarse_radii((224, 224)), default_radii((224, 224))
    assert {*start} <= {*full}
    assert (start[0], start[-1]) == (full[0], full[-1])
    assert len(start) == 10


class Watch:
    """Counts what a pilot tells."""

    def __init__(self):
        self.rounds, self.passes, self.images, self.radii, self.new = [], 0, None, (), None

    def round(self, number):
        self.rounds.append(number)
        return self._passed

    def _passed(self, passes, total, images):
        self.passes += passes

    def chosen(self, images, radii, new):
        self.images, self.radii, self.new = images, tuple(radii), new


def planted(adaptive, per_class=3, **options):
    return bs.audit("planted", f"planted?per_class={per_class}", adaptive=adaptive, threads=1, **options)


@pytest.fixture(scope="module")
def swept():
    """Every radius of the planted images."""
    radii = tuple(range(1, 47))
    return bs.curves(planted(None, probes=(bs.LowPass(radii), bs.HighPass(radii))), resamples=100)


@pytest.mark.parametrize("tolerance", [0.1, 0.2])
def test_between_the_radii_the_planted_curve_is_a_line(swept, tolerance):
    watch = Watch()
    found = bs.curves(planted(tolerance, watch=watch), resamples=100)
    for probe in ("low_pass", "high_pass"):
        truth, few = (table[table["probe"] == probe] for table in (swept, found))
        drawn = np.interp(truth["radius"], few["radius"], few["accuracy"])
        assert np.abs(drawn - truth["accuracy"]).max() <= tolerance + 1 / 27  # one image
    assert watch.images == 27  # all there are
    assert watch.passes == 27 * 2 * len(watch.radii)  # each radius once, under both probes
    assert len(watch.radii) < (46 * 2) // 3
    assert watch.rounds == [*range(1, len(watch.rounds) + 1)]
    assert watch.new == len(watch.radii) - len(coarse_radii((64, 64)))


class Faded(FakeSource):
    """Noise of ever more contrast, all of one class."""

    def __init__(self, count=70, **faults):
        super().__init__(count, **faults)
        self.labels = np.zeros(count, dtype=int)

    def __getitem__(self, position):
        contrast = 0.25 + 0.75 * (position * 37 % 70) / 70
        return Image.eval(super().__getitem__(position), lambda value: round(127.5 + (value - 127.5) * contrast))


def seen(batch, logits):
    """Class 0 where enough is left of the noise."""
    return torch.nn.functional.one_hot((batch.std((1, 2, 3)) < 0.3).long(), logits.shape[1]).float()


def fake(source=None, classifier=None, adaptive=0.1, watch=None, probes=None, **options):
    chosen = (bs.LowPass((0, 14)), bs.HighPass((0, 14))) if probes is None else probes
    return bs.audit(
        classifier or FakeClassifier(seen),
        source or Faded(),
        probes=chosen,
        adaptive=adaptive,
        watch=watch,
        batch_size=8,
        threads=1,
        **options,
    )


def test_the_store_tells_of_its_pilot(tmp_path):
    watch = Watch()
    cube = fake(adaptive=bs.Pilot(0.1, 30), seed=5, limit=50, watch=watch, out=tmp_path / "a.zarr")
    pilot = cube.attrs["pilot"]
    assert pilot["radii"] == list(watch.radii) == cube["low_pass"]["radius"].values.tolist()
    del pilot["radii"]
    asked = {"tolerance": 0.1, "images": 30, "seed": 5, "probes": ["low_pass", "high_pass"], "start": [0, 14]}
    assert pilot == asked
    assert len(watch.radii) > 4


def test_the_audit_of_a_pilots_radii_is_an_ordinary_one(tmp_path):
    adaptive = fake(out=tmp_path / "a.zarr")
    radii = adaptive["low_pass"]["radius"].values.tolist()
    fake(adaptive=None, probes=(bs.LowPass(radii), bs.HighPass(radii)), out=tmp_path / "b.zarr")
    assert files_of(tmp_path / "a.zarr") == files_of(tmp_path / "b.zarr")


class Killed(BaseException):
    pass


def killer_after(count):
    """Kills at the decoding of that many images."""
    seen = iter(range(count))

    def kill(position):
        if next(seen, None) is None:
            raise Killed

    return kill


def test_a_killed_audit_goes_on_without_a_pilot(tmp_path):
    first, watch = Watch(), Watch()
    whole = fake(adaptive=bs.Pilot(0.2, 20), watch=first, out=tmp_path / "whole.zarr")
    rounds = len(first.rounds)
    with pytest.raises(Killed):  # in the second block of the sweep
        fake(Faded(killer=killer_after(20 * rounds + 40)), adaptive=bs.Pilot(0.2, 20), out=tmp_path / "a.zarr")
    fake(adaptive=bs.Pilot(0.2, 20), watch=watch, out=tmp_path / "a.zarr")
    assert watch.rounds == []
    assert watch.new is None
    assert watch.radii == tuple(whole.attrs["pilot"]["radii"])
    assert files_of(tmp_path / "a.zarr") == files_of(tmp_path / "whole.zarr")


def test_a_finer_pilot_extends_a_store(tmp_path):
    path, watch = tmp_path / "a.zarr", Watch()
    coarse = {*fake(adaptive=0.3, out=path).attrs["pilot"]["radii"]}
    with pytest.raises(
        StoreError, match=r"another pilot \(tolerance: 0\.05 asked, 0\.3 stored\)\. Refine it with --extend"
    ):
        fake(adaptive=0.05, out=path)
    with pytest.raises(Killed):
        fake(Faded(killer=killer_after(100)), adaptive=0.05, out=path, extend=True)
    assert {*bs.open(path)["low_pass"]["radius"].values} == coarse
    finer = fake(adaptive=0.05, out=path, extend=True, watch=watch)
    assert coarse < {*finer["low_pass"]["radius"].values} == {*watch.radii}
    again = Watch()
    fake(adaptive=0.05, out=path, watch=again)
    assert again.rounds == []
    assert again.radii == watch.radii


def test_an_interrupted_extension_keeps_its_radii(tmp_path):
    path, watch = tmp_path / "a.zarr", Watch()
    fake(adaptive=0.3, out=path)
    calls = []

    def stop(passes, total, images):  # the sweep has begun: the pilot reports to the watch
        calls.append(passes)
        if len(calls) > 20:
            raise Killed

    with pytest.raises(Killed):
        fake(adaptive=0.05, out=path, extend=True, progress=stop, watch=watch)
    assert watch.rounds
    after = Watch()
    finer = fake(adaptive=0.05, out=path, extend=True, watch=after)
    assert after.rounds == []
    assert tuple(finer["low_pass"]["radius"].values) == watch.radii


def test_radii_added_by_hand_leave_the_record(tmp_path):
    path = tmp_path / "a.zarr"
    pilot = fake(out=path).attrs["pilot"]
    more = fake(adaptive=None, probes=(bs.LowPass((0.5,)),), out=path, extend=True)
    assert more.attrs["pilot"] == pilot
    assert 0.5 in more["low_pass"]["radius"].values
    watch = Watch()
    fake(out=path, watch=watch)
    assert watch.new is None


def test_a_store_without_a_pilot_is_refused_and_can_be_refined(tmp_path):
    path = tmp_path / "a.zarr"
    fake(adaptive=None, probes=(bs.LowPass((0, 5, 14)), bs.HighPass((0, 5, 14))), out=path)
    with pytest.raises(StoreError, match="was made without --adaptive"):
        fake(out=path)
    watch = Watch()
    refined = fake(out=path, extend=True, watch=watch)
    assert {0.0, 5.0, 14.0} < {*refined["low_pass"]["radius"].values} == {*watch.radii}


def test_another_model_is_refused_before_the_pilot(tmp_path):
    path, classifier = tmp_path / "a.zarr", FakeClassifier(seen, seed=1)
    fake(out=path)
    before, watch = len(classifier.batches), Watch()
    with pytest.raises(StoreError, match="another configuration"):
        fake(classifier=classifier, adaptive=0.05, out=path, extend=True, watch=watch)
    assert watch.rounds == []
    assert len(classifier.batches) <= before + 1  # the look at its outputs


def test_the_pilot_looks_at_zoom_1_and_leaves_bands_alone():
    probes = (
        bs.LowPass((0, 14)),
        bs.HighPass((0, 7, 14)),
        bs.BandPass([(0, 3), (3, 9)]),
        bs.LowPass((2, 14), "gaussian"),
    )
    plain, zoomed = fake(Faded(30), probes=probes), fake(Faded(30), probes=probes, zoom=[1, 2])
    radii = plain["high_pass"]["radius"].values.tolist()
    assert {0.0, 2.0, 7.0, 14.0} < {*radii}
    for group in ("low_pass", "high_pass", "low_pass_gaussian"):
        assert plain[group]["radius"].values.tolist() == zoomed[group]["radius"].values.tolist() == radii
    assert zoomed["band_pass"]["high"].values.tolist() == [3, 9]
    assert zoomed["low_pass"]["probability"].sizes["zoom"] == 2


def test_images_that_fail_count_nowhere():
    whole, some = Watch(), Watch()
    fake(Faded(40), watch=whole)
    spoilt = fake(Faded(60, corrupt=range(40, 60)), watch=some, seed=3)
    assert some.radii == whole.radii
    assert (spoilt["status"].values == "ok").sum() == 40
    with pytest.raises(DataError, match=r"None of the pilot's 9 images can be used, such as 0\.png"):
        fake(Faded(9, corrupt=range(9)))


def test_shards_have_one_pilot_and_the_radii_of_a_single_run(tmp_path):
    """Both start at once, where nothing is: one pilots, the other waits for its radii."""
    script = textwrap.dedent(
        """
        import sys
        import bandscope as bs
        class Watch:
            def round(self, number): return lambda *_: None
            def chosen(self, images, radii, new): print("adopted" if new is None else "piloted", len(radii))
        bs.audit("planted", "planted?per_class=5", adaptive=0.2, threads=1, batch_size=8, workers=1,
            out=sys.argv[1], shard=sys.argv[2], watch=Watch())
        """
    )
    shards = [
        subprocess.Popen(
            [sys.executable, "-c", script, "new/a.zarr", f"{i}/2"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        for i in (1, 2)
    ]
    said = sorted(shard.communicate()[0].strip() for shard in shards)
    assert [shard.returncode for shard in shards] == [0, 0]
    alone = planted(0.2, 5, batch_size=8, workers=1, out=tmp_path / "b.zarr")
    count = alone["low_pass"].sizes["radius"]
    assert said == [f"adopted {count}", f"piloted {count}"]
    assert files_of(tmp_path / "new" / "a.zarr") == files_of(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    ("adaptive", "probes", "said"),
    [
        (0, None, "The tolerance 0 is not possible: it is a difference in accuracy, above 0 and below 1"),
        (1, None, "The tolerance 1 is not possible"),
        (float("nan"), None, "The tolerance nan is not possible"),
        (0.1, (bs.BandPass([(0, 5)]), bs.BandStop([(0, 5)])), r"no probe has any \(given: band-pass, band-stop\)"),
        (0.1, (bs.LowPass([5]), bs.HighPass([5])), "two are needed at least; given: 5"),
    ],
)
def test_what_cannot_be_piloted_is_refused(adaptive, probes, said):
    source = Faded(killer=killer_after(0))
    with pytest.raises(InputError, match=said):
        fake(source, adaptive=adaptive, probes=probes)


def test_a_pilot_has_images():
    with pytest.raises(InputError, match="A pilot of 0 images is not possible"):
        bs.Pilot(0.1, 0)


def test_a_store_that_cannot_be_made_is_refused_before_the_pilot(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written: File exists"):
        fake(Faded(killer=killer_after(0)), out=tmp_path / "file" / "a.zarr")


def test_the_fakes_corner_lies_below_their_last_radius():
    assert SIZE / 2 * math.sqrt(2) > 14
