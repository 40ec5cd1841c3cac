"""Small programs of torch.export."""

import torch
from torch.export import Dim

FREE = ({0: Dim("batch")},)


def program(net, images=2, dynamic=None, channels=3, size=(16, 12), dtype=torch.float32):
    return torch.export.export(net, (torch.randn(images, channels, *size, dtype=dtype),), dynamic_shapes=dynamic)
