"""Paired tests: do two models differ on the same images, and where, when many radii are looked at?"""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import bdtr


def mcnemar(gained: Int[np.ndarray, "*rest"], lost: Int[np.ndarray, "*rest"]) -> Float[np.ndarray, "*rest"]:
    """Two-sided p of McNemar's exact test, elementwise.

    Of the images on which two models disagree, `gained` are right under B alone, `lost` under A alone. Where neither
    is better each is as likely, so that p = min(1, 2 P(X <= min(gained, lost))), X ~ Binomial(gained + lost, 1/2); 1
    where they never disagree. [McNemar 1947, Psychometrika 12; its exact conditional form never claims too much]
    """
    return np.asarray(np.minimum(1, 2 * bdtr(np.minimum(gained, lost), gained + lost, 0.5)))


def holm(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Holm's adjusted p-values: below alpha they hold for all tests together, at a family-wise error of alpha.

    The k-th smallest of m becomes the largest of (m - j + 1) p_j over j <= k, and 1 at most.
    [Holm 1979, Scand. J. Stat. 6]
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted
