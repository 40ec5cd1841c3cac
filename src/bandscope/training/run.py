"""The Trainer around a job: silent, leaving the caller's random numbers and switches as they were."""

import io
import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bandscope.errors import ModelError, first_line
from bandscope.files import write_bytes
from bandscope.training.checkpoints import Folder, Row
from bandscope.training.job import Job, Progress
from bandscope.training.machine import PRECISIONS, Machine, launched, local_processes, world_size
from bandscope.training.module import TrainingModule

TERMINATED = 143  # 128 + SIGTERM, as shells count
HARMLESS = (
    (FutureWarning, r".*LeafSpec.* is deprecated"),  # Lightning's use of PyTorch's pytree
)


def run(job: Job, machine: Machine, folder: Folder, resume: Path | None, progress: Progress) -> Sequence[Row]:
    """Train a job to its end, from a state if there is one; the history."""
    with _undisturbed(), folder.writes():
        module = TrainingModule(job, folder, progress)
        if machine.compile:
            job.network.compile()
        trainer = _trainer(job, machine, folder)
        try:
            trainer.fit(module, ckpt_path=resume, weights_only=True if resume else None)
        except SIGTERMException:
            raise SystemExit(TERMINATED) from None  # Lightning would leave as if all were done
        except RuntimeError as error:
            if not _is_of_processes(error):
                raise
            raise ModelError(
                f"The processes of this training lost each other ({first_line(error)}): where another one stopped, "
                "its message says why. Finished epochs are kept."
            ) from error
        except SystemExit as end:
            if isinstance(end.__context__, KeyboardInterrupt):  # Lightning turns it into an exit
                raise KeyboardInterrupt from None
            raise
    job.network.eval()
    return module.history


def _trainer(job: Job, machine: Machine, folder: Folder) -> pl.Trainer:
    several = launched() or machine.devices > 1
    return pl.Trainer(
        accelerator=machine.accelerator,
        devices=machine.numbers,
        num_nodes=world_size() // local_processes() if launched() else 1,
        strategy="ddp" if several else "auto",
        precision=PRECISIONS[machine.precision],  # type: ignore[arg-type]
        max_epochs=job.recipe.epochs,
        accumulate_grad_batches=job.accumulate,
        deterministic=machine.deterministic,
        benchmark=not machine.deterministic,
        use_distributed_sampler=False,
        limit_val_batches=0 if job.validation is None else None,
        num_sanity_val_steps=0,
        log_every_n_steps=1,  # of what Lightning logs by itself, which is nothing
        logger=TensorBoardLogger(folder.path, name="", version=folder.logs.name) if machine.tensorboard else False,
        default_root_dir=folder.path,
        plugins=[_StateFile()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _is_of_processes(error: RuntimeError) -> bool:
    """Whether it comes from the talk between processes."""
    return isinstance(error, getattr(torch.distributed, "DistError", ())) or "gloo" in str(error)


class _StateFile(TorchCheckpointIO):
    """States go straight to their place; Lightning makes them private files, by way of the temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getvalue())


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Lightning's chatter off; random numbers, switches and the interrupt's handler as before afterwards."""
    logs = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    levels, interrupt = [log.level for log in logs], signal.getsignal(signal.SIGINT)
    deterministic = torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(), torch.enable_grad():
            for category, message in HARMLESS:
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
        if signal.getsignal(signal.SIGINT) is not interrupt:
            signal.signal(signal.SIGINT, interrupt)
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.benchmark = benchmark
