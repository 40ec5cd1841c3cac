"""Which parameters are decayed: the weights of convolutions and linear layers, and nothing else [Zhang2023, 4.1]."""

from collections.abc import Iterator
from typing import Any

from torch import nn

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")  # linear layers without a module


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimiser: decayed weights, and the rest (biases, batch norm, learned scales ...).

    Parameters that need no gradient are left out, shared ones are counted once, and empty groups are dropped.

    Args:
        module: the network.
        weight_decay: of the first group; the second has none.
    """
    decayed: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    seen: set[int] = set()
    for owner, name, parameter in _owned(module):
        if parameter.requires_grad and id(parameter) not in seen:
            seen.add(id(parameter))
            (decayed if _is_weight(owner, name) else rest).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _owned(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            yield owner, name, parameter


def _is_weight(owner: nn.Module, name: str) -> bool:
    if isinstance(owner, nn.MultiheadAttention):
        return name in ATTENTION
    return isinstance(owner, WEIGHTED) and name == "weight"
