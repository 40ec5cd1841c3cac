"""What `auto` chooses: the fastest candidate that gives the answers of eager float32, and nothing else."""

from dataclasses import replace

import fakes
import numpy as np
import pytest
import torch
from scipy.stats import binom

import bandscope as bs
from bandscope.classifiers import backends, load_classifier
from bandscope.engine import choice
from bandscope.engine.choice import shifts
from bandscope.errors import InputError, StoreError
from bandscope.report.choice import choice_lines

RADII = (1, 3, 6)


def network():
    return load_classifier(fakes.Network(), preprocess=fakes.PREPROCESS, classes=fakes.CLASSES)


def audited(out=None, *, images: int = 40, **settings):
    return bs.audit(
        network(), fakes.FakeSource(images), out=out, probes=[bs.LowPass(RADII), bs.HighPass(RADII)], **settings
    )


@pytest.fixture
def paced(monkeypatch):
    """Speeds as if measured: milliseconds an image by (backend, dtype)."""

    def set_to(**speeds: float) -> None:
        real = choice.timed

        def timed(job, backend, precision):
            found, forward = real(job, backend, precision)
            if forward is None:
                return found, None
            return replace(found, milliseconds=speeds.get(f"{backend}_{precision}", 1e3)), forward

        monkeypatch.setattr(choice, "timed", timed)

    return set_to


def trials(cube) -> dict[tuple[str, str], dict]:
    return {(trial["backend"], trial["precision"]): trial for trial in cube.attrs["choice"]["trials"]}


def test_the_fastest_that_agrees_is_frozen_and_its_figures_are_kept(paced, tmp_path):
    paced(eager_fp32=1000, openvino_fp32=10)
    cube = audited(tmp_path / "a.zarr", backend="auto")
    assert (cube.attrs["plan"]["backend"], cube.attrs["plan"]["precision"]) == ("openvino", "fp32")
    assert "openvino" in cube.attrs["environment"]
    chosen = trials(cube)["openvino", "fp32"]
    assert chosen["verdict"] == "chosen"
    assert chosen["agreement"] == 1
    assert chosen["shift"] == 0
    assert cube.attrs["choice"]["images"] == 32
    assert cube.attrs["choice"]["conditions"] == 1 + 2 * len(RADII)
    line = choice_lines(cube.attrs)[0]
    assert line == "openvino fp32, 10.0 ms an image (eager fp32: 1000.0 ms); 100.0% of 224 answers agree"


def test_its_numbers_are_those_of_the_default(paced, tmp_path):
    paced(eager_fp32=1000, openvino_fp32=10)
    fast, plain = audited(backend="auto"), audited()
    assert plain.attrs.get("choice") is None
    np.testing.assert_array_equal(fast["low_pass"].top5_class[..., 0], plain["low_pass"].top5_class[..., 0])
    np.testing.assert_allclose(fast["high_pass"].probability, plain["high_pass"].probability, atol=1e-4)


def test_other_answers_are_turned_down_and_said(paced, monkeypatch):
    paced(eager_fp32=1000, openvino_fp32=10, onnxruntime_fp32=20)
    real = backends._OPENERS["openvino"]

    def wrong(classifier, shape, dtype):
        forward = real(classifier, shape, dtype)
        return lambda batch: forward(batch).flip(1)

    monkeypatch.setitem(backends._OPENERS, "openvino", wrong)
    cube = audited(backend="auto")
    assert cube.attrs["plan"]["backend"] == "onnxruntime"
    refused = trials(cube)["openvino", "fp32"]
    assert refused["agreement"] < 0.5
    assert "other answers" in refused["verdict"]
    assert any("openvino fp32 (10.0 ms) was turned down: other answers" in line for line in choice_lines(cube.attrs))


def test_a_precision_that_rounds_too_much_is_not_asked_of_every_backend(paced, monkeypatch):
    paced(eager_fp32=1000, eager_bf16=10, openvino_fp32=20)
    right = choice.timed

    def rounded(job, backend, precision):
        found, forward = right(job, backend, precision)
        return found, (lambda batch: forward(batch).flip(1)) if precision == "bf16" else forward

    monkeypatch.setattr(choice, "timed", rounded)
    tried = trials(audited(backend="auto", precision="auto"))
    assert "other answers" in tried["eager", "bf16"]["verdict"]
    assert tried["openvino", "bf16"]["verdict"] == "bf16 gives other answers, as eager bf16 shows"
    assert tried["openvino", "bf16"]["setup"] is None
    assert tried["openvino", "fp32"]["verdict"] == "chosen"


def test_where_nothing_else_is_right_eager_fp32_runs(paced, monkeypatch):
    paced(eager_fp32=1000, eager_bf16=10)
    monkeypatch.setattr(choice, "MIN_AGREEMENT", 1.1)
    cube = audited(precision="auto")
    assert (cube.attrs["plan"]["backend"], cube.attrs["plan"]["precision"]) == ("eager", "fp32")
    assert list(trials(cube)) == [("eager", "fp32"), ("eager", "bf16")]
    assert "nothing else was both faster and the same" in choice_lines(cube.attrs)[0]


def test_a_short_audit_is_not_worth_a_choice(paced):
    paced(eager_fp32=1)  # 280 passes of a millisecond
    cube = audited(backend="auto", precision="auto")
    assert list(trials(cube)) == [("eager", "fp32")]
    assert choice_lines(cube.attrs) == ["eager fp32, 1.0 ms an image: too short an audit for a choice"]


def test_a_setup_that_cannot_pay_is_not_begun(paced, monkeypatch):
    paced(eager_fp32=220, openvino_fp32=220)  # 280 passes: 62 s
    monkeypatch.setitem(backends._OPENERS, "compiled", None)  # would fail
    cube = audited(backend="auto")
    assert cube.attrs["plan"]["backend"] == "eager"
    assert "to set up" in trials(cube)["compiled", "fp32"]["verdict"]


def test_a_backend_that_breaks_is_passed_over(paced, monkeypatch):
    paced(eager_fp32=1000, onnxruntime_fp32=10)

    def broken(classifier, shape, dtype):
        raise RuntimeError("no such instruction")

    monkeypatch.setitem(backends._OPENERS, "openvino", broken)
    cube = audited(backend="auto")
    assert cube.attrs["plan"]["backend"] == "onnxruntime"
    assert "no such instruction" in trials(cube)["openvino", "fp32"]["verdict"]


def test_a_resume_adopts_what_was_chosen_without_choosing_again(paced, tmp_path, monkeypatch):
    paced(eager_fp32=1000, openvino_fp32=10)
    store = tmp_path / "a.zarr"

    class Killed(BaseException):
        pass

    done = []

    def kill(passes, *_):
        done.append(passes)
        if sum(done) > 32 * 7:
            raise Killed

    with pytest.raises(Killed):
        audited(store, backend="auto", progress=kill)
    monkeypatch.setattr("bandscope.engine.filling.choose", None)  # would fail
    assert audited(store, backend="auto").attrs["plan"]["backend"] == "openvino"
    with pytest.raises(StoreError, match="backend: eager asked, openvino stored"):
        audited(store, backend="eager")


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"precision": "bf16", "backend": "auto"}, "precision"),
        ({"backend": "openvino", "precision": "auto"}, "backend"),
    ],
)
def test_what_was_asked_for_explicitly_stays_and_can_be_gone_on_with(paced, tmp_path, monkeypatch, asked, kept):
    """Also where nothing gives the answers of eager fp32: the user has the last word."""
    paced()
    monkeypatch.setattr(choice, "MIN_AGREEMENT", 1.1)
    store = tmp_path / "a.zarr"
    plan = audited(store, **asked).attrs["plan"]
    assert plan[kept] == asked[kept]
    assert (plan["backend"], plan["precision"]) in {("eager", "bf16"), ("openvino", "fp32")}
    with bs.open(store) as cube:
        assert choice_lines(cube.attrs)[0].endswith(", as asked for (eager fp32: 1000.0 ms)")
    assert audited(store, **asked).attrs["plan"] == plan


def test_an_engine_gives_the_same_bits_every_time(tmp_path):
    one, other = (audited(backend="openvino", threads=1) for _ in range(2))
    for group in ("low_pass", "high_pass"):
        assert np.array_equal(one[group].probability, other[group].probability)
        assert np.array_equal(one[group].margin, other[group].margin)


def test_a_shift_is_told_in_half_widths_of_the_wilson_interval():
    """Wilson's bounds p0 solve |p - p0| = z sqrt(p0 (1 - p0) / n)."""
    before, after = np.arange(100) < 60, np.arange(100) < 63
    z = 1.959963984540054
    low, high = sorted(np.roots([1 + z**2 / 100, -(2 * 0.6 + z**2 / 100), 0.6**2]).real)
    assert shifts([before], [after])[0] == pytest.approx(0.03 / ((high - low) / 2))
    assert binom.cdf(60, 100, high) < 0.05  # and it is an interval of 95 %
    assert shifts([before, before], [before, after])[0] == 0


def test_only_known_names_are_taken():
    with pytest.raises(InputError, match="backend='tensorrt' is not known; there are eager, compiled"):
        audited(backend="tensorrt")
    with pytest.raises(InputError, match="precision='fp8'"):
        audited(precision="fp8")


def test_a_fixed_backend_is_not_measured():
    cube = audited(backend="openvino")
    assert cube.attrs["plan"]["backend"] == "openvino"
    assert "choice" not in cube.attrs


def test_a_function_has_nothing_to_choose_from():
    function = load_classifier(
        lambda batch: torch.nn.functional.pad(batch.mean((2, 3)), (0, 4)),
        preprocess=fakes.PREPROCESS,
        classes=fakes.CLASSES,
    )
    cube = bs.audit(function, fakes.FakeSource(8), probes=[bs.LowPass(RADII)], backend="auto", precision="auto")
    assert cube.attrs["plan"]["backend"] == "eager"
