"""Facts about a loaded network that go into every result made with it."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from torch import nn

from bandscope.classifiers.weights import weights_hash


def describe_module(
    module: nn.Module, library: str, source: str, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """JSON-ready provenance of a PyTorch network.

    Args:
        module: the network, with its weights.
        library: the distribution that built it ("timm", "torchvision", "torch").
        source: where its weights come from, in words.
        options: what the network was built with.
    """
    return {
        "library": library,
        "versions": {name: version(name) for name in sorted({"torch", library})},
        "source": source,
        "options": {name: _plain(value) for name, value in (options or {}).items()},
        "weights_sha256": weights_hash(module.state_dict()),
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
    }


def _plain(value: Any) -> Any:
    """`value` as JSON knows it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)
