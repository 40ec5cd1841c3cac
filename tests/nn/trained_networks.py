"""Networks as training leaves them: every learned value and every running statistic away from its start."""

import torch
from torch import nn


def trained(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with random values, scaled so that features neither die nor explode; in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3, generator=generator)
                module.running_var.uniform_(0.3, 1.5, generator=generator)
                module.weight.uniform_(0.7, 1.3, generator=generator)
                module.bias.uniform_(-0.3, 0.3, generator=generator)
            if isinstance(module, nn.Linear):
                module.weight.normal_(0, 0.05, generator=generator)
                module.bias.uniform_(-0.3, 0.3, generator=generator)
    return network.eval()
