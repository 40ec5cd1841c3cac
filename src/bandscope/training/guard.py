"""A loss that is not a number stops the training, and what caused it is kept."""

import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from bandscope.errors import ModelError, StoreError
from bandscope.files import write_bytes
from bandscope.training.checkpoints import BAD_BATCH
from bandscope.training.data import Batch

LAG = 2  # steps on a GPU between a loss and the look at it


@dataclass(frozen=True)
class _Watched:
    loss: torch.Tensor
    copied: torch.cuda.Event | None
    step: int
    batch: Batch
    tell: bool


class LossGuard:
    """Looks at every loss, on a GPU some steps later so that nobody waits for it.

    Args:
        folder: where the batch of a bad loss is saved.
        rank: of this process.
        seen: called with (step, loss) of every finite loss that is to be told.
    """

    def __init__(self, folder: Path, rank: int, seen: Callable[[int, float], None]) -> None:
        self._folder, self._rank, self._seen = folder, rank, seen
        self._waiting: deque[_Watched] = deque()

    def watch(self, loss: torch.Tensor, step: int, batch: Batch, *, tell: bool = True) -> None:
        """Take note of a step's loss; of accumulated gradients only the last batch's is told.

        Raises:
            ModelError: this loss, or one of the last few, is not finite.
        """
        event = None
        if loss.is_cuda:
            loss = loss.detach().to("cpu", non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        self._waiting.append(_Watched(loss.detach(), event, step, batch, tell))
        while len(self._waiting) > (LAG if event else 0):
            self._look(self._waiting.popleft())

    def finish(self) -> None:
        """Look at the losses that are left."""
        while self._waiting:
            self._look(self._waiting.popleft())

    def _look(self, watched: _Watched) -> None:
        if watched.copied is not None:
            watched.copied.synchronize()
        value = float(watched.loss)
        if not torch.isfinite(watched.loss):
            raise ModelError(
                f"The loss is {value} at step {watched.step}: the training stops. {self._kept(watched, value)}; a "
                "lower lr, a longer warm-up or fp32 may help. Finished epochs are kept."
            )
        if watched.tell:
            self._seen(watched.step, value)

    def _kept(self, watched: _Watched, loss: float) -> str:
        """Save the batch; where it is, in words."""
        path = self._folder / f"{BAD_BATCH}{watched.step}-rank{self._rank}.pt"
        kept = {name: tensor for name, tensor in watched.batch._asdict().items() if tensor is not None}
        content = io.BytesIO()
        torch.save({"step": watched.step, "loss": loss, **kept}, content)
        try:
            write_bytes(path, content.getvalue())
        except StoreError as error:  # not what matters now
            return f"The batch is lost, since {error}".rstrip(".")
        return f"The batch is saved in {path}"
