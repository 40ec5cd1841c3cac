"""`auto`: the backend and precision that finish an audit first, accepted only if they give the same answers.

Candidates are timed on a batch, setup counted, and those that are faster are held against eager float32 on a probe: a
seeded sample of the audit's own images under conditions spread over its own. The fastest that passes is frozen into
the store, and the figures of the check are kept beside it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import binomtest

from bandscope.classifiers.backends import BACKENDS, DEFAULT, PRECISIONS, Forward
from bandscope.datasets.base import ImageSource
from bandscope.engine.conditions import CLEAN, Condition, probes_of
from bandscope.engine.decode import Looks, decoded_blocks
from bandscope.engine.filters import FilterBank
from bandscope.engine.job import Job
from bandscope.engine.memory import keep_memory
from bandscope.engine.numerics import frozen_numerics
from bandscope.engine.passes import timed, why
from bandscope.engine.plan import AUTO, DTYPES, Plan, Request
from bandscope.errors import ModelError

REFERENCE = ("eager", "fp32")
MIN_AGREEMENT = 0.99  # share of predictions that must be those of eager float32
MAX_SHIFT = 0.25  # of the half-width of its 95 % interval: how far a point of the curve may move
CONDITIONS = 9  # of the probe, the clean image among them
MAX_BATCHES = 4  # of the probe
PROBE_SHARE = 0.05  # of the audit's forward passes that the probe may cost
# Seconds that a backend takes to get ready, from which follows whether it can pay at all; measured afterwards.
SETUP = {"eager": 0.0, "openvino": 3.0, "onnxruntime": 4.0, "compiled": 14.0}
WORTH_CHOOSING = 60.0  # seconds of an audit: of a shorter one a choice costs what it saves (docs/performance.md)
WORTH = 0.05  # of the time of the best so far: a longer setup is not tried
HOPELESS = 0.97  # agreement of a reduced precision below which other backends are not asked: it is the rounding


@dataclass
class Trial:
    """One candidate: what it costs, and whether it gives the same answers.

    Attributes:
        backend, precision: of the candidate.
        verdict: "chosen", "slower", or why it was not taken.
        setup: seconds until the first batch.
        milliseconds: of a forward pass, an image.
        agreement: share of the probe's predictions that are those of eager fp32.
        shift: largest move of a point of the probe's curve, in half-widths of its interval.
        safe: whether both are good enough.
    """

    backend: str
    precision: str
    verdict: str = "slower"
    setup: float | None = None
    milliseconds: float | None = None
    agreement: float | None = None
    shift: float | None = None
    safe: bool = False

    def to_json(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    def seconds(self, passes: int) -> float:
        """Of an audit of so many forward passes; for ever where it was not timed."""
        return (self.setup or 0.0) + passes * self.milliseconds / 1e3 if self.milliseconds else float("inf")


def choose(job: Job, request: Request) -> tuple[Plan, dict[str, Any]]:
    """The job's plan with what was left open settled, and what the choice rests on, ready for JSON.

    Args:
        job: in its plan, what is left open has its default; what was asked for explicitly stays.
        request: "auto" for the backend, the precision, or both.

    Raises:
        ModelError: what was asked for explicitly does not run.
    """
    passes = len(job.source) * job.layout.forward_passes(job.layout.conditions())
    own = (job.plan.backend, job.plan.precision)  # the user's word, and the default of what is left open
    with frozen_numerics(job.plan.threads), keep_memory():
        trials, checked = _trials(job, request, own, passes)
    best = min((t for t in trials if t.safe or (t.backend, t.precision) == own), key=lambda t: t.seconds(passes))
    best.verdict = "chosen"
    plan = replace(job.plan, backend=best.backend, precision=best.precision)
    return plan, {**checked, "forward_passes": passes, "trials": [trial.to_json() for trial in trials]}


def _trials(job: Job, request: Request, own: tuple[str, str], passes: int) -> tuple[list[Trial], dict[str, int]]:
    """Eager fp32 first, what the plan says, then every candidate; and the size of the probe."""
    reference, forward = _tried(job, *REFERENCE)
    trials = [reference]
    if own != REFERENCE:
        trials.append(_tried(job, *own)[0])
    for trial in trials:
        if trial.milliseconds is None:
            raise ModelError(
                f"{job.classifier.spec} does not run by {trial.backend} {trial.precision}: {trial.verdict}"
            )
    best = trials[-1].seconds(passes)
    hopeless: dict[str, str] = {}  # by precision, the backend that showed it
    if forward is None or best < WORTH_CHOOSING:
        return trials, {"images": 0, "conditions": 0}
    job.classifier.prepare(torch.device(job.plan.device), torch.float32)  # other trials may have changed it
    probe = _Probe(job, passes)
    expected = probe.answers(forward)
    for backend, precision in _candidates(request):
        if (backend, precision) in (REFERENCE, own):
            continue
        if reason := _not_worth(backend, precision, best, hopeless):
            trials.append(Trial(backend, precision, reason))
            continue
        trial, candidate = _tried(job, backend, precision)
        trials.append(trial)
        if candidate and trial.seconds(passes) < best:
            if _agrees(trial, candidate, probe, expected):
                best = trial.seconds(passes)
            elif trial.agreement is not None and trial.agreement < HOPELESS:
                hopeless[precision] = backend
    return trials, {"images": len(probe.labels), "conditions": len(probe.conditions)}


def _not_worth(backend: str, precision: str, best: float, hopeless: Mapping[str, str]) -> str | None:
    """Why a candidate need not be tried; None if it should be."""
    if precision != REFERENCE[1] and precision in hopeless:
        return f"{precision} gives other answers, as {hopeless[precision]} {precision} shows"
    if SETUP[backend] > WORTH * best:
        return f"takes about {SETUP[backend]:.0f} s to set up, and the whole audit {best:.0f} s"
    return None


def _candidates(request: Request) -> Iterator[tuple[str, str]]:
    """Whatever could settle what is left open: quick setups first, and the quicker precision."""
    backends = sorted(BACKENDS, key=SETUP.__getitem__) if request.backend == AUTO else (request.backend or DEFAULT,)
    precisions = ("bf16", "fp32") if request.precision == AUTO else (request.precision or "fp32",)
    for backend in backends:
        for precision in precisions:
            if DTYPES[precision] in PRECISIONS[backend]:
                yield backend, precision


def _tried(job: Job, backend: str, precision: str) -> tuple[Trial, Forward | None]:
    found, forward = timed(job, backend, precision)
    return Trial(backend, precision, found.reason or "slower", found.setup, found.milliseconds), forward


def _agrees(trial: Trial, forward: Forward, probe: "_Probe", expected: Int[np.ndarray, "conditions images"]) -> bool:
    """Whether a candidate gives the answers of eager fp32 on the probe; what was found is written into the trial."""
    try:
        answers = probe.answers(forward)
    except Exception as error:  # compilers and engines fail with anything
        trial.verdict = why(error)
        return False
    trial.agreement = float((answers == expected).mean())
    trial.shift = max(shifts(expected == probe.labels, answers == probe.labels))
    trial.safe = trial.agreement >= MIN_AGREEMENT and trial.shift <= MAX_SHIFT
    if trial.safe:
        return True
    trial.verdict = (
        f"other answers: {trial.agreement:.1%} agree ({MIN_AGREEMENT:.0%} are needed), a point of the curve moves by "
        f"{trial.shift:.2f} of its interval's half-width ({MAX_SHIFT} is allowed)"
    )
    return False


def shifts(before: Iterable[np.ndarray], after: Iterable[np.ndarray]) -> list[float]:
    """How far accuracies move, each in half-widths of the 95 % Wilson interval of the one before.

    Args:
        before: for each condition, whether each image is right.
        after: the same, computed in another way.
    """
    moved: list[float] = []
    for was, now in zip(before, after, strict=True):
        interval = binomtest(int(was.sum()), len(was)).proportion_ci(0.95, method="wilson")
        moved.append(float(abs(now.mean() - was.mean()) / ((interval.high - interval.low) / 2)))
    return moved


class _Probe:
    """Images and conditions on which answers are compared; only pixels are kept, filters are applied anew."""

    def __init__(self, job: Job, passes: int) -> None:
        batch = job.plan.batch_size
        affordable = int(PROBE_SHARE * passes / (CONDITIONS * batch))
        count = min(len(job.source), batch * min(max(affordable, 1), MAX_BATCHES))
        positions = np.sort(np.random.default_rng(0).choice(len(job.source), count, replace=False))
        self._views = _pixels(job, positions)
        self.labels = job.labels[[position for position, _ in self._views]]
        self.conditions = _spread(job)
        probes = probes_of(self.conditions, job.layout.probes)
        device = torch.device(job.plan.device)
        self._bank = FilterBank(probes, job.layout.convention, job.classifier.preprocess, device)
        self._job = job

    def answers(self, forward: Forward) -> Int[np.ndarray, "conditions images"]:
        """The predicted class of every image under every condition of the probe."""
        batch, size = self._job.plan.batch_size, len(self._views)
        columns = []
        for start in range(0, size, batch):
            pixels = np.stack([view for _, view in self._views[start : start + batch]])
            full = np.zeros((batch, *pixels.shape[1:]), dtype=np.uint8)
            full[: len(pixels)] = pixels
            rows = [forward(images).argmax(1)[: len(pixels)] for images in self._shown(torch.from_numpy(full))]
            columns.append(torch.stack(rows).cpu().numpy())
        return np.concatenate(columns, axis=1)

    def _shown(self, pixels: torch.Tensor) -> Iterator[Float[torch.Tensor, "n c h w"]]:
        pixels = pixels.to(self._job.plan.device)
        yield self._job.classifier.preprocess.normalise(pixels)
        for _, _, images, _ in self._bank(pixels):
            yield images


def _pixels(job: Job, positions: Int[np.ndarray, " n"]) -> list[tuple[int, np.ndarray]]:
    """Position and crop of those images that can be decoded; some must."""
    source: ImageSource = job.source
    looks = Looks(job.classifier.preprocess, (None,))
    found = []
    for block in decoded_blocks(source, looks, [(0, positions.tolist())], workers=4, strict=False):
        for position, views in zip(block.positions, block.views, strict=True):
            if views is not None:
                found.append((position, views[0].pixels))
    if not found:
        raise ModelError(f"none of {len(positions)} images of {source.spec} can be decoded: nothing to compare on")
    return found


def _spread(job: Job) -> tuple[Condition, ...]:
    """The clean image and filters evenly spread over those of the job, looked at without zoom."""
    own = [c for c in job.layout.conditions() if c.cutoff is not None and job.layout.plainest(c) == c]
    filters = list(dict.fromkeys(c._replace(scale=None) for c in own))
    places = np.linspace(0, len(filters) - 1, min(CONDITIONS - 1, len(filters))).round().astype(int)
    return CLEAN, *(filters[place] for place in places)
