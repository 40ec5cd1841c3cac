"""`bandscope bench` and `bandscope audit --dry-run`: what an audit costs, before it is begun."""

import re

import pytest

import bandscope.engine.estimate as costs
from bandscope.bench import bench
from bandscope.cli.dry_run import readable_bytes, readable_time
from bandscope.cli.main import main
from bandscope.engine.estimate import Estimate
from bandscope.engine.floor import Rest
from bandscope.engine.passes import Pass
from bandscope.engine.plan import Plan

PLAN = Plan(batch_size=32, block_size=32, threads=2, device="cpu", precision="fp32")


def estimate(**changes) -> Estimate:
    rest = Rest(filtering=0.5, statistics=0.1, decoding=14.0, storing=0.2, stored=53.0)
    given = {"plan": PLAN, "images": 1000, "conditions": 70, "forward": Pass("eager fp32", 3.0, 8.0), "rest": rest}
    return Estimate(**{**given, "cores": 2, **changes})


def test_the_whole_is_the_sum_of_its_parts():
    found = estimate()
    assert found.passes == 70_000
    assert found.stored == 70_000 * 53
    assert found.ratio == pytest.approx((8 + 0.5 + 0.1 + 0.2 + 14 / 70 / 2) / 8)
    assert found.seconds() == pytest.approx(3 + 70_000 * 8.9e-3)
    assert found.seconds(7) == pytest.approx(3 + 10_000 * 8.9e-3)


def test_a_dry_run_tells_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "planted", "--limit", "40", "--radii", "2,10,200", "--dry-run"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    # the clean image and two radii of each probe; beyond the corner a low-pass changes nothing, a high-pass is left
    assert "Images 40" in told
    assert "Conditions 6 forward passes of each image" in told
    assert "Passes 240" in told
    assert re.search(r"devices like this one time 1 [\d.]+ s 2 [\d.]+ s", told)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_with_auto_speaks_of_what_auto_would_choose(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(costs, "choose", lambda job, request: (PLAN, {}))
    assert main(["audit", "planted", "--limit", "8", "--radii", "2,10", "--backend", "auto", "--dry-run"]) == 0
    assert "eager fp32" in capsys.readouterr().out


def test_bench_times_every_way_that_can_be_had(monkeypatch, capsys):
    monkeypatch.setattr("bandscope.engine.passes.BACKENDS", ("eager", "openvino"))  # compiling takes its time
    assert main(["bench", "--batch-size", "4", "--threads", "1"]) == 0
    told = capsys.readouterr().out
    for word in ("eager fp32", "eager fp32, contiguous", "openvino bf16", "filters", "decoding", "storing"):
        assert word in told
    assert "forward pass" in " ".join(told.splitlines()[-2:])


def test_bench_says_why_something_cannot_be_had(monkeypatch, capsys):
    monkeypatch.setattr("bandscope.engine.passes.BACKENDS", ("eager", "openvino"))
    monkeypatch.setattr("bandscope.classifiers.backends.find_spec", lambda _: None)
    assert main(["bench", "--batch-size", "2"]) == 0
    assert "pip install 'bandscope[fast]'" in " ".join(capsys.readouterr().out.split())


def test_bench_counts_what_an_audit_runs():
    found = bench("planted", batch_size=2, threads=1)
    assert found.plan.batch_size == 2
    assert found.conditions == len({*range(1, 47)}) * 2  # 46 radii a probe less one that changes nothing, and clean
    assert found.rest.filtering > 0
    assert found.rest.decoding > 0
    assert found.rest.stored > 50


def test_numbers_for_people():
    assert [readable_bytes(n) for n in (12, 1500, 2.5e9, 3e13)] == ["12 bytes", "1.5 kB", "2.5 GB", "30.0 TB"]
    assert [readable_time(s) for s in (0.2, 59, 61, 90_061)] == ["0.2 s", "59.0 s", "0:01:01", "1 day, 1:01:01"]
