"""Signals that ask a process to stop, kept until a training step has ended."""

import os
import signal
import sys
import threading
from enum import IntEnum
from types import FrameType

import torch
from lightning.pytorch import Trainer

from lightning_abkd.training._lightning_signals import Handler, forget_sigterm, slurm_requeue, users_handler


class Stop(IntEnum):
    """Why a training should stop; of several reasons the largest counts."""

    NO = 0
    INTERRUPT = 1
    TERMINATION = 2
    REQUEUE = 3


class StopSignals:
    """Keeps SIGTERM, Ctrl-C and SLURM's signal before the end of a job until somebody asks for them.

    Lightning's own handlers act at once, in the middle of a step, and exchange tensors with other processes there.
    """

    def __init__(self) -> None:
        self._asked = Stop.NO
        self._numbers = {Stop.INTERRUPT: int(signal.SIGINT), Stop.TERMINATION: int(signal.SIGTERM)}
        self._requeue: Handler | None = None
        self._users: dict[int, Handler | None] = {}
        self._before: dict[int, Handler | int | None] = {}

    def take(self, trainer: Trainer) -> None:
        """Begin to keep the signals; a SIGTERM that Lightning has kept already counts."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._asked = Stop.TERMINATION if forget_sigterm(trainer) else Stop.NO
        self._install(signal.SIGTERM, trainer)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._install(signal.SIGINT, trainer)
        if (found := slurm_requeue(trainer)) is not None:
            self._numbers[Stop.REQUEUE], self._requeue = found
            self._install(found[0], trainer)

    def give_back(self) -> None:
        """Restore the handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}

    def asked(self, trainer: Trainer) -> Stop:
        """Return why training should stop, if any process of the run was asked to; all of them have to call it."""
        if trainer.world_size == 1:
            return self._asked
        asked = torch.tensor(int(self._asked), device=trainer.strategy.root_device)
        return Stop(int(trainer.strategy.reduce(asked, reduce_op="max")))

    def requeue(self, stop: Stop) -> bool:
        """Let Lightning save for SLURM and requeue the job, if that is what was asked."""
        if stop is not Stop.REQUEUE or self._requeue is None:
            return False
        self._requeue(self._numbers[stop], None)
        return True

    def name(self, stop: Stop) -> str:
        """Return the name of the signal."""
        return signal.Signals(self._numbers.get(stop, signal.SIGUSR1)).name

    def code(self, stop: Stop) -> int:
        """Return the exit code that says of a process which signal ended it: 128 and its number."""
        return 128 + self._numbers.get(stop, int(signal.SIGUSR1))

    def _install(self, number: int, trainer: Trainer) -> None:
        self._users[number] = users_handler(trainer, number)
        self._before[number] = signal.signal(number, self._keep)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        stop = next(each for each, known in self._numbers.items() if known == number)
        if stop is Stop.INTERRUPT and self._asked is Stop.INTERRUPT:
            raise KeyboardInterrupt
        if self._asked is Stop.NO:
            _say(f"{self.name(stop)}: stops after this step.{' Ctrl-C again: at once.' * (stop is Stop.INTERRUPT)}")
        self._asked = max(self._asked, stop)
        if (users := self._users.get(number)) is not None:
            users(number, frame)


def _say(text: str) -> None:
    """Write a line from a handler, which may have interrupted another write of a stream."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, f"\n{text}\n".encode())
