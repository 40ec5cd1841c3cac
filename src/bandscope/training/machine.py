"""Where a training runs: devices, processes, precision; nothing here decides what is learnt."""

import os
from dataclasses import dataclass

import torch

from bandscope.errors import InputError
from bandscope.training.data import Share

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}  # in Lightning's words
GIGABYTE = 10**9


@dataclass(frozen=True)
class Machine:
    """The machine's side of a training.

    device: "cpu", "cuda", "cuda:1"; None: CUDA where there is one. devices: how many of them, a process each.
    precision: "fp32", "bf16" or "fp16" (mixed: weights stay float32).
    accumulate: batches whose gradients make a step. compile: by `torch.compile`. channels_last: the memory format.
    deterministic: only algorithms that give the same bits each time. workers: threads that decode.
    memory_gb: 10^9 bytes of decoded images that may be kept, by all processes here. tensorboard: whether logs for it
    are written.
    """

    device: str | None = None
    devices: int = 1
    precision: str = "fp32"
    accumulate: int = 1
    compile: bool = False
    channels_last: bool = True
    deterministic: bool = False
    workers: int = 4
    memory_gb: float = 4.0
    tensorboard: bool = True

    def __post_init__(self) -> None:
        for name in ("devices", "accumulate", "workers"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name}={value!r} is not possible; give a whole number from 1 on.")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision={self.precision!r} is not known; there are {', '.join(PRECISIONS)}.")
        if not self.memory_gb >= 0:
            raise InputError(f"memory_gb={self.memory_gb!r} is not possible; give a number from 0 on.")
        self._check_device()

    @property
    def accelerator(self) -> str:
        """The kind of device, "cpu" or "cuda"."""
        if self.device is None:
            return "cuda" if torch.cuda.is_available() else "cpu"
        return self.device.partition(":")[0]

    @property
    def numbers(self) -> int | list[int]:
        """Lightning's `devices`: how many, or which one."""
        number = (self.device or "").partition(":")[2]
        if number:
            return [int(number)]
        return local_processes() if launched() else self.devices

    @property
    def share(self) -> Share:
        """Of this process, as far as it is known before a group of processes is formed."""
        return Share(rank(), world_size() if launched() else self.devices, self.accumulate)

    @property
    def memory(self) -> int:
        """Bytes that this process may keep."""
        together = local_processes() if launched() else self.devices
        return int(self.memory_gb * GIGABYTE) // together

    def _check_device(self) -> None:
        kind, colon, number = (self.device or "cpu").partition(":")
        if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
            raise InputError(f"device={self.device!r} is not known; give cpu, cuda, or cuda:1 for one of several.")
        if kind == "cuda" and not torch.cuda.is_available():
            raise InputError(f"device={self.device!r}: PyTorch finds no CUDA device here.")
        if number and (self.devices > 1 or launched()):
            raise InputError(f"device={self.device!r} is one device; several processes take cuda or cpu.")
        if self.precision == "fp16" and self.accelerator != "cuda":
            raise InputError("precision='fp16' needs a CUDA device; on a CPU take bf16.")
        if launched() and self.devices not in (1, local_processes()):
            raise InputError(
                f"devices={self.devices}, but torchrun started {local_processes()} process(es) here: leave it out."
            )


def launched() -> bool:
    """Whether torchrun started this process."""
    return torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()


def world_size() -> int:
    """Processes of torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_processes() -> int:
    """Processes of torchrun on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def rank() -> int:
    """This process among all; Lightning, too, tells the processes it starts by their local rank."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))
