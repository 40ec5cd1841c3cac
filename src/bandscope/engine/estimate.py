"""What an audit will cost, before it is begun: from what its parts take on this machine."""

import os
from dataclasses import dataclass

from bandscope.engine.choice import choose
from bandscope.engine.floor import Rest, rest
from bandscope.engine.memory import keep_memory
from bandscope.engine.numerics import frozen_numerics
from bandscope.engine.passes import Pass, timed
from bandscope.engine.plan import Plan, resolve_plan
from bandscope.engine.subject import Subject
from bandscope.errors import ModelError


@dataclass(frozen=True)
class Estimate:
    """An audit in numbers.

    Attributes:
        plan: the settings it would run with.
        images: to audit.
        conditions: forward passes of each image; conditions that change nothing take none.
        forward: what a forward pass takes.
        rest: what everything else takes.
        cores: that share the work of the decoding threads.
    """

    plan: Plan
    images: int
    conditions: int
    forward: Pass
    rest: Rest
    cores: int

    @property
    def passes(self) -> int:
        """Forward passes in all."""
        return self.images * self.conditions

    @property
    def stored(self) -> float:
        """Bytes of the store, before compression."""
        return self.passes * self.rest.stored

    @property
    def ratio(self) -> float:
        """The whole audit over its forward passes."""
        forward = self.forward.milliseconds or 0.0
        return (forward + self.rest.milliseconds(self.conditions, self.cores)) / forward

    def seconds(self, devices: int = 1) -> float:
        """Of the audit on so many devices like this one, each of which has to be set up.

        Devices share nothing but the blocks, so the passes divide; what divides less well is not in here: blocks
        that are left over, and files that all devices read from one disk.
        """
        milliseconds = (self.forward.milliseconds or 0.0) * self.ratio
        return (self.forward.setup or 0.0) + self.passes * milliseconds / 1e3 / devices


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def estimate(subject: Subject, cores: int) -> Estimate:
    """Time the parts of an audit; nothing is written where it would be.

    Args:
        subject: what would be audited; "auto" settings are settled as for the audit itself.
        cores: that decoding threads may use beside the classifier.

    Raises:
        ModelError: the network does not run.
    """
    plan = resolve_plan(subject.request, len(subject.source), subject.classifier)
    if subject.request.open:
        plan, _ = choose(subject.job(plan, subject.layout), subject.request)
    job = subject.job(plan, subject.layout)
    conditions = job.layout.forward_passes(job.layout.conditions())
    with frozen_numerics(plan.threads), keep_memory():
        forward, _ = timed(job, plan.backend, plan.precision)
    if forward.milliseconds is None:
        raise ModelError(f"{subject.classifier.spec} cannot be timed: {forward.reason}")
    return Estimate(
        plan,
        len(subject.source),
        conditions,
        forward,
        rest(job, subject.header(plan, subject.layout)),
        cores,
    )
