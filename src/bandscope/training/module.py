"""The LightningModule: a recipe's step, its validation, and what is written at the end of an epoch."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from jaxtyping import Float, Int64
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bandscope.classifiers.checkpoint import save_checkpoint
from bandscope.classifiers.torch_classifier import as_logits
from bandscope.errors import InputError, ModelError
from bandscope.files import write_csv
from bandscope.training import draws
from bandscope.training.checkpoints import Folder, Row, best_row, rows_of, table
from bandscope.training.data import Batch, Share, TrainingBatches, ValidationBatches, steps_per_epoch
from bandscope.training.groups import parameter_groups
from bandscope.training.guard import LossGuard
from bandscope.training.job import Job, Progress, Report
from bandscope.training.schedule import WarmupCosine

LOG_EVERY = 50  # steps between two losses in TensorBoard


class Prepared(NamedTuple):
    """A batch as the network sees it, and where it came from."""

    images: Float[torch.Tensor, "n c h w"]
    labels: Int64[torch.Tensor, " n"] | Float[torch.Tensor, "n classes"]
    batch: Batch


class TrainingModule(pl.LightningModule):
    """One network in training.

    Args:
        job: what is trained, on what, and how.
        folder: where results go.
        progress: told of every step, on the first process.
    """

    def __init__(self, job: Job, folder: Folder, progress: Progress) -> None:
        super().__init__()
        self.job, self.folder, self._progress = job, folder, progress
        self.network = job.network
        if job.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.average: AveragedModel | None = None
        if job.recipe.ema is not None:
            averaging = get_ema_multi_avg_fn(job.recipe.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(job.network, multi_avg_fn=averaging, use_buffers=True).requires_grad_(False)
        steps = steps_per_epoch(len(job.training), job.recipe.batch_size)
        self.total_steps = steps * job.recipe.epochs
        self.schedule = WarmupCosine(job.recipe.peak_lr, round(job.recipe.warmup_epochs * steps), self.total_steps)
        self.history: list[Row] = []
        self._trained, self._validated = Sums(), Sums()
        self._began, self._epoch_began_at, self._stepped = time.perf_counter(), 0, 0
        self._learned: float | None = None  # when the epoch's last step was done

    @property
    def epoch(self) -> int:
        """Finished epochs: the number, from 0, of the one that runs."""
        return len(self.history)

    @property
    def weights(self) -> nn.Module:
        """The network that is validated and saved: the moving average where there is one."""
        if self.average is None:
            return self.network
        averaged: nn.Module = self.average.module
        return averaged

    # --- data ---------------------------------------------------------------------------------------------

    def train_dataloader(self) -> TrainingBatches:
        """This process's batches."""
        return TrainingBatches(
            self.job.training,
            self.job.filters,
            batch_size=self.job.recipe.batch_size,
            share=self._share(),
            seed=self.job.seed,
            epoch=lambda: self.epoch,
            pin=self.device.type == "cuda",
        )

    def val_dataloader(self) -> ValidationBatches | list[Any]:
        """This process's validation images."""
        if self.job.validation is None:
            return []
        return ValidationBatches(
            self.job.validation,
            self.job.filters,
            batch_size=self._share().micro_batch(self.job.recipe.batch_size),
            share=self._share(),
            pin=self.device.type == "cuda",
        )

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Prepared:
        """Cut, normalise and filter on the device, in fp32 whatever the network computes in."""
        pixels = batch.pixels
        if batch.boxes is not None and batch.flips is not None:
            pixels = self.job.augment.apply(pixels, batch.boxes, batch.flips)
        images, labels = self.job.filters(pixels, batch.conditions), batch.labels
        if self.job.transform is not None and self.trainer.training:
            images, labels = self.job.transform(images, labels, batch.positions)
            check_labels(labels, len(images), len(self.job.classes))
        if self.job.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return Prepared(images, labels, batch)

    # --- training -----------------------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD; weights of convolutions and linear layers decay."""
        recipe = self.job.recipe
        groups = parameter_groups(self.network, recipe.weight_decay)
        return torch.optim.SGD(groups, lr=self.schedule(0), momentum=recipe.momentum)

    def on_fit_start(self) -> None:
        """Everything that is known only now: which process this is."""
        self._guard = LossGuard(self.folder.path, self.global_rank, self._seen)

    def on_train_epoch_start(self) -> None:
        """Random numbers of the network itself (dropout) follow from seed, epoch and rank, as if never stopped."""
        torch.manual_seed(draws.derived_seed(self.job.seed, draws.TORCH, self.epoch, self.global_rank))
        self._began, self._epoch_began_at, self._learned = time.perf_counter(), self.global_step, None

    def on_train_batch_start(self, batch: Prepared, batch_idx: int) -> None:
        """The learning rate is a function of the step, not a state."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        for group in optimizer.param_groups:  # type: ignore[union-attr]
            group["lr"] = self.schedule(self.global_step)
        self._stepped = self.global_step

    def training_step(self, batch: Prepared, batch_idx: int) -> torch.Tensor:
        """Cross-entropy with label smoothing."""
        logits = as_logits(self.network(batch.images), len(batch.images))
        loss = cross_entropy(logits, batch.labels, label_smoothing=self.job.recipe.label_smoothing)
        last = (batch_idx + 1) % self.job.accumulate == 0
        self._guard.watch(loss, self.global_step, batch.batch, tell=last)
        self._trained.add(loss, logits, batch.labels)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Prepared, batch_idx: int) -> None:
        """After an optimiser step the moving average follows."""
        if self.average is not None and self.global_step > self._stepped:
            self.average.update_parameters(self.network)

    def _seen(self, step: int, loss: float) -> None:
        """Tell of a finite loss."""
        if self.logger is not None and step % LOG_EVERY == 0:
            self.logger.log_metrics({"loss": loss, "lr": self.schedule(step)}, step)
        if self.global_rank == 0:
            self._tell(step + 1, loss)

    def _tell(self, done: int, loss: float) -> None:
        recipe = self.job.recipe
        images = (done - self._epoch_began_at) * recipe.batch_size
        rate = images / max(time.perf_counter() - self._began, 1e-9)
        accuracy = self.history[-1].val_accuracy if self.history else math.nan
        self._progress(
            Report("training", done, self.total_steps, self.epoch + 1, recipe.epochs, rate, loss, accuracy)
        )

    # --- validation ---------------------------------------------------------------------------------------

    def on_validation_start(self) -> None:
        """Batch norms of all processes validate with the first one's statistics."""
        self._learned = time.perf_counter()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            for buffer in self.weights.buffers():
                torch.distributed.broadcast(buffer, 0)

    def validation_step(self, batch: Prepared, batch_idx: int) -> None:
        """Cross-entropy without label smoothing, and top-1."""
        logits = as_logits(self.weights(batch.images), len(batch.images))
        self._validated.add(cross_entropy(logits, batch.labels), logits, batch.labels)

    # --- the end of an epoch ------------------------------------------------------------------------------

    def on_train_epoch_end(self) -> None:
        """A row of the history, weights, and the state to go on from, which comes into place before the others."""
        self._guard.finish()
        self._check_weights()
        self.history.append(self._row())
        if self.global_rank == 0:
            self._write()
        state = self.folder.draft(self.folder.state, self.epoch)
        self.trainer.save_checkpoint(state)
        if self.global_rank == 0:
            state.replace(self.folder.state)
            self.folder.settle(self.epoch)
        self.trainer.strategy.barrier()

    def _check_weights(self) -> None:
        """A last step may destroy the weights after a loss that was still finite: such an epoch is not finished.

        Raises:
            ModelError: a weight is not finite.
        """
        for name, value in self.weights.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise ModelError(
                    f"{name} is not finite after step {self.global_step - 1}: the training stops. A lower lr, a "
                    "longer warm-up or fp32 may help. Finished epochs are kept."
                )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The history goes with the weights."""
        checkpoint["history"] = [asdict(row) for row in self.history]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """And comes back with them."""
        self.history = list(rows_of(checkpoint))

    def _row(self) -> Row:
        train_loss, train_accuracy = self._trained.means(self._summed, self.device)
        val_loss, val_accuracy = self._validated.means(self._summed, self.device)
        seconds = time.perf_counter() - self._began
        images = (self.global_step - self._epoch_began_at) * self.job.recipe.batch_size
        row = Row(
            epoch=self.epoch + 1,
            step=self.global_step,
            lr=self.schedule(self.global_step - 1),
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            seconds=seconds,
            images_per_second=images / ((self._learned or time.perf_counter()) - self._began),
        )
        if self.logger is not None:
            measured = {
                name: v for name, v in asdict(row).items() if not math.isnan(v) and name not in ("step", "lr")
            }
            self.logger.log_metrics(measured, row.step)
        return row

    def _write(self) -> None:
        """Weights and history of this epoch, as drafts."""
        best = best_row(self.history).epoch == self.epoch
        for path in (self.folder.last, *([self.folder.best] if best else [])):
            save_checkpoint(
                self.folder.draft(path, self.epoch),
                self.weights,
                model=self.job.spec,
                preprocess=self.job.filters.preprocess,
                classes=self.job.classes,
            )
        write_csv(self.folder.draft(self.folder.history, self.epoch), table(self.history))

    def _summed(self, own: Float[torch.Tensor, " sums"]) -> Float[torch.Tensor, " sums"]:
        total = self.trainer.strategy.reduce(own, reduce_op="sum")
        assert isinstance(total, torch.Tensor)  # for mypy
        return total

    def _share(self) -> Share:
        return Share(self.trainer.global_rank, self.trainer.world_size, self.job.accumulate)


def check_labels(labels: Any, images: int, classes: int) -> None:
    """Refuse what no loss can be computed of.

    Args:
        labels: what a `transform` returned.
        images: how many it returned along with them.
        classes: of the network.

    Raises:
        InputError: they are neither class numbers nor shares of the classes.
    """
    if isinstance(labels, torch.Tensor):
        hard = labels.dtype == torch.int64 and labels.shape == (images,)
        if hard or (labels.is_floating_point() and labels.shape == (images, classes)):
            return
        labels = f"{labels.dtype} of shape {tuple(labels.shape)}"
    raise InputError(
        f"transform returned {images} images with labels {labels}; allowed: class numbers, torch.int64 of shape "
        f"({images},), or the classes' shares, floating point of shape ({images}, {classes})."
    )


class Sums:
    """Loss, right answers and images, added up on the device."""

    def __init__(self) -> None:
        self._sums: Float[torch.Tensor, " sums"] | None = None

    @torch.no_grad()
    def add(
        self,
        loss: Float[torch.Tensor, ""],
        logits: Float[torch.Tensor, "n classes"],
        labels: Int64[torch.Tensor, " n"] | Float[torch.Tensor, "n classes"],
    ) -> None:
        """Add a batch whose mean loss is `loss`; of soft labels the largest is the right answer."""
        right = (logits.argmax(dim=1) == (labels if labels.ndim == 1 else labels.argmax(dim=1))).sum()
        new = torch.stack([loss * len(labels), right, torch.full_like(right, len(labels))]).double()
        self._sums = new if self._sums is None else self._sums + new

    def means(self, summed: Callable[[torch.Tensor], torch.Tensor], device: torch.device) -> tuple[float, float]:
        """(mean loss, accuracy) of all processes; NaN of none. Starts anew."""
        own = torch.zeros(3, dtype=torch.float64, device=device) if self._sums is None else self._sums
        loss, right, images = summed(own).tolist()
        self._sums = None
        return (loss / images, right / images) if images else (math.nan, math.nan)
