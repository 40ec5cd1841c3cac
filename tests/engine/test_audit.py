"""The audit against a naive loop, and through kills, faults and refusals."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from fakes import CLASSES, PREPROCESS, SIZE, FakeClassifier, FakeSource, files_of
from hypothesis import given, settings
from hypothesis import strategies as st

import bandscope as bs
from bandscope.api import audit
from bandscope.classifiers import load_classifier
from bandscope.conventions import Convention
from bandscope.engine.plan import Request
from bandscope.errors import DataError, InputError, StoreError

PROBES = (
    bs.LowPass((0, 2, 5, 100)),
    bs.HighPass((0, 2, 7)),
    bs.LowPass((3,), "gaussian"),
    bs.HighPass((3, 4), "butterworth"),
    bs.BandPass(((0, 3), (2, 6))),
    bs.BandStop(((2, 6),)),
)


def run(source=None, classifier=None, **kwargs) -> xr.DataTree:
    return audit(
        classifier or FakeClassifier(), source or FakeSource(), **{"probes": PROBES, "batch_size": 4, **kwargs}
    )


def naive(classifier: FakeClassifier, source: FakeSource, low: float, high: float, kind: str, convention: Convention):
    """One condition the usual way: complex FFT, shifted mask by distance, one image at a time."""
    y, x = np.indices((SIZE, SIZE))
    distance = np.hypot(y - SIZE // 2, x - SIZE // 2)
    mask = {
        "low_pass": distance <= high,
        "high_pass": distance > high,
        "band_pass": (distance > low) & (distance <= high),
        "band_stop": ~((distance > low) & (distance <= high)),
        "low_pass_gaussian": np.exp2(-((distance / max(high, 1)) ** 2)),
        "high_pass_butterworth": 1 - 1 / (1 + (distance / max(high, 1)) ** 4),
    }[kind].astype(float)
    if convention.keep_mean:
        mask[SIZE // 2, SIZE // 2] = 1
    rows, mean, std = [], np.array(PREPROCESS.mean)[:, None, None], np.array(PREPROCESS.std)[:, None, None]
    for i in range(len(source)):
        pixels = np.asarray(source[i]).transpose(2, 0, 1) / 255
        image = pixels if convention.domain == "pixel" else (pixels - mean) / std
        bottom, top = (0, 1) if convention.domain == "pixel" else ((0 - mean) / std, (1 - mean) / std)
        spectrum = np.fft.fftshift(np.fft.fft2(image), axes=(-2, -1))
        image = np.fft.ifft2(np.fft.ifftshift(spectrum * mask, axes=(-2, -1))).real
        image = np.clip(image, bottom, top) if convention.clip else image
        image = (image - mean) / std if convention.domain == "pixel" else image
        rows.append(classifier.network(torch.from_numpy(image).float()[None])[0].detach().double())
    return torch.stack(rows)


@pytest.mark.parametrize(
    "convention",
    [
        Convention(),
        Convention(domain="pixel"),
        Convention(keep_mean=True),
        Convention(clip=True),
        Convention(domain="pixel", clip=True, keep_mean=True),
    ],
    ids=["default", "pixel", "keep_mean", "clip", "all"],
)
def test_every_number_equals_a_naive_loop(convention):
    classifier, source = FakeClassifier(), FakeSource()
    cube = run(source, classifier, convention=convention)
    conditions = 0
    for probe, group in cube.children.items():
        lows = group["low"].values if "low" in group.coords else np.zeros(group.sizes["radius"])
        highs = group["high"].values if "high" in group.coords else group["radius"].values
        for index, (low, high) in enumerate(zip(lows, highs, strict=True)):
            logits = naive(classifier, source, low, high, probe, convention)
            probabilities = logits.softmax(1).numpy()
            label = source.labels
            np.testing.assert_allclose(
                group["probability"][:, index], probabilities[np.arange(len(label)), label], atol=1e-4
            )
            ordered = logits.sort(1, descending=True)
            clear = (ordered.values[:, 0] - ordered.values[:, 1]).numpy() > 1e-3
            assert clear.sum() >= len(label) - 1
            np.testing.assert_array_equal(group["top5_class"][:, index, 0][clear], ordered.indices[:, 0][clear])
            others = logits.clone()
            others[np.arange(len(label)), label] = -np.inf
            own = logits[np.arange(len(label)), label]
            np.testing.assert_allclose(group["margin"][:, index], own - others.amax(1), atol=1e-3)
            conditions += 1
    assert conditions == 13


def test_clean_is_the_network_on_the_unchanged_crop():
    classifier, source = FakeClassifier(), FakeSource()
    cube = run(source, classifier)
    for i in range(len(source)):
        pixels = torch.from_numpy(PREPROCESS.crop(source[i]))[None]
        logits = classifier.network(PREPROCESS.normalise(pixels))[0].detach()
        assert cube["clean_top5_class"].values[i, 0] == logits.argmax()
        assert cube["clean_probability"].values[i] == pytest.approx(
            logits.softmax(0)[source.labels[i]].item(), abs=1e-5
        )
    assert cube["clean_top5_class"].shape == (11, 5)


def test_each_condition_costs_one_forward_pass_and_all_batches_are_full():
    classifier = FakeClassifier()
    run(FakeSource(11), classifier)
    probe_of_outputs = 1
    assert classifier.batches[probe_of_outputs:] == [4] * 3 * (
        1 + 12
    )  # radius 100 is beyond the corner: the clean image again


def test_out_of_range_counts_values_beyond_the_pixel_range():
    cube = run(probes=(bs.LowPass((100,)), bs.HighPass((0, 100))))
    np.testing.assert_array_equal(cube["low_pass/out_of_range"], 0)  # unchanged pixels are all valid
    np.testing.assert_array_equal(cube["high_pass/out_of_range"][:, 1], 0)  # nothing left: the mean colour, valid
    assert (cube["high_pass/out_of_range"][:, 0] > 0.01).all()
    pixels = run(probes=(bs.HighPass((3,)),), convention=Convention(domain="pixel"))
    source, expected = FakeSource(), []
    for i in range(len(source)):
        image = np.asarray(source[i]).transpose(2, 0, 1) / 255
        filtered = bs.high_pass(image, 3)
        expected.append(((filtered < -1e-4) | (filtered > 1 + 1e-4)).mean())
    np.testing.assert_allclose(pixels["high_pass/out_of_range"][:, 0], expected, atol=2 / image.size)


@settings(max_examples=8)
@given(batch=st.integers(1, 13), workers=st.integers(1, 3))
def test_numbers_do_not_depend_on_batches_or_workers(batch, workers):
    whole = run(batch_size=11)
    parts = run(batch_size=batch, workers=workers)
    for probe in whole.children:
        np.testing.assert_allclose(parts[probe]["margin"], whole[probe]["margin"], atol=1e-4)


def test_the_store_equals_the_memory_and_explains_itself(tmp_path):
    in_memory, stored = run(), run(out=tmp_path / "a.zarr")
    xr.testing.assert_identical(in_memory["low_pass"].to_dataset(), stored["low_pass"].to_dataset().load())
    assert stored.attrs["plan"]["batch_size"] == 4
    assert stored.attrs["convention"]["preset"] == "bandscope"
    assert stored.attrs["data"] == {"spec": "fakes:", "images": 11, "fingerprint": "11 images"}
    assert stored.attrs["environment"]["torch"] == torch.__version__.split("+")[0]
    assert list(stored["class_name"].values) == [c.name for c in CLASSES]


def test_an_interrupted_run_ends_bit_identical(tmp_path):
    run(FakeSource(150), out=tmp_path / "whole.zarr", probes=PROBES[:2])

    def stop_at(position: int) -> None:
        if position == 140:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(FakeSource(150, killer=stop_at), out=tmp_path / "cut.zarr", probes=PROBES[:2])
    assert 0 < len(list((tmp_path / "cut.zarr" / ".blocks").iterdir())) < 5
    classifier = FakeClassifier()
    run(FakeSource(150), classifier, out=tmp_path / "cut.zarr", probes=PROBES[:2])
    assert files_of(tmp_path / "cut.zarr") == files_of(tmp_path / "whole.zarr")
    assert len(classifier.batches) < 1 + (150 // 4 + 1) * 8


KILLED = """
    import os, sys
    sys.path[:0] = [{tests!r}]
    import bandscope as bs
    from bandscope.api import audit
    from fakes import FakeClassifier, FakeSource
    print("ready", flush=True)
    audit(FakeClassifier(), FakeSource(600), probes=(bs.LowPass((0, 2, 5)), bs.HighPass((0, 2))), batch_size=4,
          threads=1, out={out!r})
    print("done", flush=True)
"""


@pytest.mark.parametrize("after", [0.05, 0.4])
def test_a_killed_process_loses_nothing(tmp_path, after):
    here = str(Path(__file__).parent)

    def start(out):
        script = textwrap.dedent(KILLED.format(tests=here, out=str(out)))
        return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)

    whole = start(tmp_path / "whole.zarr")
    assert whole.communicate(timeout=120)[0].split() == ["ready", "done"]
    killed = start(tmp_path / "killed.zarr")
    assert killed.stdout.readline() == "ready\n"
    while not (tmp_path / "killed.zarr" / ".blocks" / "000000.json").exists() and killed.poll() is None:
        pass
    try:
        killed.wait(after)
    except subprocess.TimeoutExpired:
        killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    again = start(tmp_path / "killed.zarr")
    assert again.communicate(timeout=120)[0].split() == ["ready", "done"]
    mine, theirs = files_of(tmp_path / "killed.zarr"), files_of(tmp_path / "whole.zarr")
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []


def test_extending_equals_having_asked_at_once_and_computes_nothing_twice(tmp_path):
    more = (bs.LowPass((0, 1, 2, 5, 9, 100)), bs.HighPass((0, 2, 7)), bs.BandPass(((0, 3),)))
    run(out=tmp_path / "whole.zarr", probes=more)
    run(out=tmp_path / "grown.zarr", probes=PROBES[:2])
    classifier = FakeClassifier()
    grown = run(classifier=classifier, out=tmp_path / "grown.zarr", probes=more, extend=True)
    assert files_of(tmp_path / "grown.zarr") == files_of(tmp_path / "whole.zarr")
    assert len(classifier.batches) == 1 + 3 * 3  # low-pass 1 and 9, the band
    assert grown["low_pass"]["radius"].values.tolist() == [0, 1, 2, 5, 9, 100]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["grown.zarr", "whole.zarr"]
    # Asking again for a part is served from the store.
    idle = FakeClassifier()
    run(classifier=idle, out=tmp_path / "grown.zarr", probes=more)
    assert len(idle.batches) == 1


def test_an_interrupted_extension_keeps_the_old_store_and_goes_on(tmp_path):
    few, more = (bs.LowPass((0, 2)),), (bs.LowPass((0, 1, 2)),)
    run(FakeSource(150), out=tmp_path / "whole.zarr", probes=more)
    run(FakeSource(150), out=tmp_path / "a.zarr", probes=few)
    before = files_of(tmp_path / "a.zarr")

    def stop_at(position: int) -> None:
        if position == 140:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(FakeSource(150, killer=stop_at), out=tmp_path / "a.zarr", probes=more, extend=True)
    assert files_of(tmp_path / "a.zarr") == before
    run(FakeSource(150), out=tmp_path / "a.zarr", probes=more, extend=True)
    assert files_of(tmp_path / "a.zarr") == files_of(tmp_path / "whole.zarr")


def test_a_swap_cut_between_its_renames_is_finished(tmp_path):
    run(out=tmp_path / "a.zarr")
    (tmp_path / "a.zarr").rename(tmp_path / ".a.zarr.extending")
    (tmp_path / ".a.zarr.retired").mkdir()
    idle = FakeClassifier()
    run(classifier=idle, out=tmp_path / "a.zarr")
    assert len(idle.batches) == 1


def test_another_configuration_is_refused_with_a_list(tmp_path):
    out = tmp_path / "a.zarr"
    run(out=out)
    before = files_of(out)
    with pytest.raises(StoreError, match=r"data.fingerprint: 12 images asked, 11 images stored"):
        run(FakeSource(12), out=out)
    with pytest.raises(StoreError, match=r"model.weights_sha256: seed 1 asked, seed 0 stored"):
        run(classifier=FakeClassifier(seed=1), out=out)
    with pytest.raises(StoreError, match=r"convention.clip: True asked, False stored"):
        run(out=out, convention=Convention(clip=True))
    with pytest.raises(StoreError, match=r"batch_size: 5 asked, 4 stored"):
        run(out=out, batch_size=5)
    with pytest.raises(StoreError, match=r"low_pass radius 3 are new.*--extend"):
        run(out=out, probes=(bs.LowPass((3,)),))
    assert files_of(out) == before
    run(out=out, batch_size=None)  # what is not asked is adopted


def test_another_function_of_the_same_name_does_not_go_on(tmp_path):
    out, network = tmp_path / "a.zarr", FakeClassifier().network

    def scores(batch: torch.Tensor) -> torch.Tensor:
        return network(batch)

    run(classifier=load_classifier(scores, preprocess=PREPROCESS), out=out)
    run(classifier=load_classifier(scores, preprocess=PREPROCESS), out=out)
    before = files_of(out)
    network.head.bias.data += 1e-6  # as another machine rounds
    run(classifier=load_classifier(scores, preprocess=PREPROCESS), out=out)
    network.head.bias.data[0] += 1
    with pytest.raises(StoreError, match=r"model\.answers: the model of that name gives other logits"):
        run(classifier=load_classifier(scores, preprocess=PREPROCESS), out=out)
    assert files_of(out) == before


def test_overwriting_drops_the_old_results_and_only_stores(tmp_path):
    out = tmp_path / "a.zarr"
    run(out=out)
    cube = run(FakeSource(12), out=out, overwrite=True)
    assert cube.sizes["image"] == 12
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match="not a bandscope store"):
        run(out=tmp_path / "precious", overwrite=True)
    assert (tmp_path / "precious" / "thesis.tex").exists()


def test_corrupt_images_are_recorded_and_nothing_else_changes():
    whole, holed = run(FakeSource(11)), run(FakeSource(11, corrupt=[3, 10]))
    assert holed["status"].values.tolist() == ["corrupt: truncated file" if i in (3, 10) else "ok" for i in range(11)]
    good = [i for i in range(11) if i not in (3, 10)]
    for name in ("low_pass/margin", "high_pass/top5_class", "band_stop/probability"):
        np.testing.assert_array_equal(holed[name].values[good], whole[name].values[good])
    assert np.isnan(holed["low_pass/margin"].values[[3, 10]]).all()
    assert (holed["low_pass/top5_class"].values[3] == -1).all()


def test_strict_stops_at_a_corrupt_image(tmp_path):
    with pytest.raises(DataError, match=r"3\.png.*truncated"):
        run(FakeSource(11, corrupt=[3]), strict=True, out=tmp_path / "a.zarr")
    assert list((tmp_path / "a.zarr" / ".blocks").iterdir()) == []


def test_a_block_of_files_that_are_gone_stops_the_audit():
    with pytest.raises(DataError, match="Is the data still there"):
        run(FakeSource(11, corrupt=range(11), reason="cannot be read: No such file or directory"))


def test_a_block_of_damaged_files_does_not():
    cube = run(FakeSource(70, corrupt=range(64)))
    assert (cube["status"].values[:64] == "corrupt: truncated file").all()
    assert (cube["status"].values[64:] == "ok").all()


def test_non_finite_outputs_leave_the_image_out():
    def spoil(batch: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        flat = batch.std((2, 3)).amax(1) < 1e-3  # what low-pass at radius 0 leaves, for some of the images
        flat &= batch[:, 0].mean((1, 2)) > 0.5
        return torch.where(flat[:, None], torch.nan, logits)

    cube = run(classifier=FakeClassifier(spoil), probes=(bs.LowPass((0, 100)),), batch_size=11)
    assert set(cube["status"].values) <= {"ok", "non-finite: the classifier's output for low_pass radius 0"}
    assert (cube["status"].values != "ok").any()
    bad = cube["status"].values != "ok"
    assert not bad.all()
    assert np.isnan(cube["low_pass/probability"].values[bad]).all()
    assert np.isnan(cube["clean_probability"].values[bad]).all()


def test_threads_come_back(monkeypatch):
    before = torch.get_num_threads()
    run(threads=1 if before != 1 else 2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"threads": 0}, "threads=0"),
        ({"workers": 0}, "workers=0"),
        ({"precision": "fp8"}, "fp32, bf16"),
        ({"device": "nonsense"}, "cannot be used here"),
        ({"overwrite": True, "extend": True}, "exclude each other"),
        ({"convention": "gavrikov"}, "Did you mean 'gavrikov2024'"),
    ],
)
def test_bad_settings_get_one_clear_sentence(kwargs, says):
    with pytest.raises(InputError, match=says):
        run(**kwargs)


def test_auto_batch_is_resolved_once_and_frozen(tmp_path):
    run(out=tmp_path / "a.zarr", batch_size="auto")
    frozen = bs.open(tmp_path / "a.zarr").attrs["plan"]["batch_size"]
    assert 1 <= frozen <= 11
    run(out=tmp_path / "a.zarr", batch_size="auto")
    assert Request(batch_size="auto").batch_size == "auto"
