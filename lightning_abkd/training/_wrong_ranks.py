"""What the processes of a training agree on before each optimizer step."""

import torch
from lightning.pytorch import Trainer
from torch import Tensor


def first_wrong_rank(trainer: Trainer, loss_is_wrong: Tensor, gradient_is_wrong: Tensor) -> int | None:
    """Return which process found something wrong: the first one with such a loss, else with such a gradient.

    All processes call this and get the same answer, from one number that they reduce. It waits for the device.

    Args:
        trainer: The trainer.
        loss_is_wrong: Whether a loss of this process is not finite, shape ().
        gradient_is_wrong: Whether a gradient of this process is not finite, shape (). Where gradients are averages over
            processes, all of them find it.

    Returns:
        The rank, or None if all is well.
    """
    ranks = trainer.world_size
    rank = trainer.global_rank
    # The largest code wins: 1 to N for a gradient, N + 1 to 2 N for a loss, the larger the lower the rank.
    code = torch.where(gradient_is_wrong, ranks - rank, 0)
    code = torch.where(loss_is_wrong, 2 * ranks - rank, code)
    found = int(code if ranks == 1 else trainer.strategy.reduce(code, reduce_op="max"))
    if found == 0:
        return None
    return 2 * ranks - found if found > ranks else ranks - found
