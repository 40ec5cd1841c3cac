"""Image classifiers of any library behind one protocol: normalised crops in, logits out."""

from bandscope.classifiers.base import Classifier
from bandscope.classifiers.load import load_classifier
from bandscope.classifiers.overrides import override
from bandscope.classifiers.torch_classifier import probe_outputs

__all__ = ["Classifier", "load_classifier", "override", "probe_outputs"]
