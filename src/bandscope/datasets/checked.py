"""What every image set must hold before any work: images, and a label of its classes for each of them."""

import numpy as np
from jaxtyping import Int

from bandscope.datasets.base import ImageSource
from bandscope.errors import DataError


def checked_labels(source: ImageSource) -> Int[np.ndarray, " images"]:
    """The source's labels; a source of the user's own may have none, or such as are not places in its classes.

    Raises:
        DataError: saying which.
    """
    labels = np.asarray(source.labels)
    if not len(source):
        raise DataError(f"{source.spec} holds no images; at least one is needed.")
    if len(labels) != len(source):
        raise DataError(f"{source.spec} has {len(source)} images but {len(labels)} labels.")
    if outside := sorted({*labels.tolist()} - {*range(len(source.classes))}):
        raise DataError(
            f"{source.spec} has the label {outside[0]}, but its classes end at {len(source.classes) - 1}."
        )
    return labels
