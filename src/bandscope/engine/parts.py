"""A forward pass that survives a full memory: the same batch in halves, quarters, ... down to single images."""

import torch
from jaxtyping import Float

from bandscope.classifiers.backends import Forward

CPU_FULL = "can't allocate memory"  # what PyTorch's CPU allocator says, in a plain RuntimeError


class InParts:
    """A forward pass, and how many parts its batches have taken.

    A batch in parts may differ from a whole one in its last bits, because kernels are chosen by size; hence what was
    taken is recorded with the block. The next block starts with whole batches again: memory may have come free.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._parts = 1

    def __call__(self, batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        """The logits of all of the batch.

        Raises:
            torch.OutOfMemoryError: not even one image fits.
        """
        while (logits := self._attempt(batch)) is None:
            self._parts *= 2  # out here, where the failed attempt's tensors are gone
        return logits

    def _attempt(self, batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"] | None:
        try:
            if self._parts == 1:
                return self._forward(batch)
            return torch.cat([self._forward(part) for part in batch.chunk(self._parts)])
        except RuntimeError as error:  # OutOfMemoryError is one
            if not is_full(error) or self._parts >= len(batch):
                raise
            if batch.device.type == "cuda":
                torch.cuda.empty_cache()
            return None

    def restart(self) -> int:
        """Begin the next block with whole batches; how many parts the last one took, 1 if it was never cut."""
        parts, self._parts = self._parts, 1
        return parts


def is_full(error: BaseException) -> bool:
    """Whether an error says that memory is full."""
    return isinstance(error, torch.OutOfMemoryError) or CPU_FULL in str(error)
