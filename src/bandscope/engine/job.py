"""What an audit is made of."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from bandscope.classifiers.base import Classifier
from bandscope.datasets.base import ImageSource
from bandscope.engine.conditions import Layout
from bandscope.engine.plan import Plan


@dataclass(frozen=True)
class Job:
    """What is measured: through which classifier (of so many outputs), on which images, under which conditions."""

    classifier: Classifier
    source: ImageSource
    labels: Int[np.ndarray, " images"]
    outputs: int
    layout: Layout
    plan: Plan
