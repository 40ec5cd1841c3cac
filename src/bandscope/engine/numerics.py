"""How PyTorch computes while an audit runs: the same way each time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def frozen_numerics(threads: int) -> Iterator[None]:
    """Threads as planned, deterministic algorithms, no TF32; the caller's settings come back afterwards."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = torch.get_num_threads(), cuda.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    torch.set_num_threads(threads)
    cuda.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = False, False, True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cuda.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before[1:]
