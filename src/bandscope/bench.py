"""`bandscope.bench`: what bounds an audit of a classifier on this machine."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bandscope.classifiers import Classifier, load_classifier, probe_outputs
from bandscope.conventions import Convention
from bandscope.datasets import ImageSource, load_source
from bandscope.engine.conditions import Layout
from bandscope.engine.floor import Rest, rest
from bandscope.engine.memory import keep_memory
from bandscope.engine.numerics import frozen_numerics
from bandscope.engine.passes import Pass, every_pass
from bandscope.engine.photographs import Photographs
from bandscope.engine.plan import Plan, Request, resolve_plan, usable_device
from bandscope.engine.subject import Subject
from bandscope.probes import HighPass, LowPass, default_radii, resolve


@dataclass(frozen=True)
class Bench:
    """The parts of an audit, timed.

    Attributes:
        classifier: whose audit.
        plan: batch size, threads, device.
        conditions: of the default audit, forward passes of each image.
        forward: a row for each way to run the network; those that cannot be had come with the reason.
        rest: everything else.
    """

    classifier: Classifier
    plan: Plan
    conditions: int
    forward: tuple[Pass, ...]
    rest: Rest


def bench(
    model: str | torch.nn.Module | Callable[..., Any] | Classifier = "planted",
    data: str | ImageSource | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    device: str | None = None,
) -> Bench:
    """Time what an audit is made of: the forward pass by every backend and precision, filters, decoding, storing.

    Args:
        model: as of `audit`.
        data: images to decode, as of `audit`; by default JPEG files of 500 x 375 pixels in memory.
        weights: as of `audit`.
        overrides: as of `audit`.
        batch_size: images a forward pass (32).
        threads: of the classifier on CPU.
        device: as of `audit`.

    Raises:
        InputError, ModelError, DataError: as `audit`.
    """
    path = None if weights is None else Path(weights)
    classifier = load_classifier(model, weights=path, overrides=overrides)
    source = Photographs(batch_size or 32) if data is None else load_source(data)
    size = classifier.preprocess.size
    radii = default_radii(size)
    layout = Layout(resolve([LowPass(radii), HighPass(radii)], size), Convention())
    request = Request(batch_size, threads, device)
    labels = np.zeros(len(source), dtype=np.int64)
    classifier.prepare(torch.device(usable_device(device)), torch.float32)
    subject = Subject(classifier, source, labels, probe_outputs(classifier), layout, request)
    job = subject.job(resolve_plan(request, len(source), classifier), layout)
    with frozen_numerics(job.plan.threads), keep_memory():
        forward = tuple(every_pass(job))
    conditions = layout.forward_passes(layout.conditions())
    return Bench(classifier, job.plan, conditions, forward, rest(job, subject.header(job.plan, layout)))
