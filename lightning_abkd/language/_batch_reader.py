"""Reads the batches of a module, and checks that its networks can take them."""

from collections.abc import Mapping
from typing import Literal

from torch import nn

from lightning_abkd.language._batch_form import ReadBatch, read_batch, with_all_counted, without_labels
from lightning_abkd.language._limits import Limits, check_positions, fit_ids, limits_of
from lightning_abkd.language.data import Tokenizer
from lightning_abkd.training import LogOnce

# Whether a batch has to have labels; "made" counts every token where there are none.
Labels = Literal["needed", "made", "optional"]


class BatchReader:
    """Reads batches for networks, whose limits are found at the first batch.

    Args:
        networks: The networks by their roles, "student" and "teacher".
        tokenizer: Names tokens in messages; None leaves their ids.
        log_once: Logs what is replaced.

    Example:
        >>> import torch
        >>> batch = {"input_ids": torch.tensor([[5, 6]])}
        >>> BatchReader({}, None, LogOnce()).read(batch, "made")["labels"]
        tensor([[5, 6]])
    """

    def __init__(
        self, networks: Mapping[str, nn.Module | None], tokenizer: Tokenizer | None, log_once: LogOnce
    ) -> None:
        self._networks = networks
        self._tokenizer = tokenizer
        self._log_once = log_once
        self._limits: list[Limits] | None = None

    def read(self, batch: object, labels: Labels) -> ReadBatch:
        """Read a batch that has not been read yet.

        Raises:
            TypeError: If the batch or an entry is of another kind.
            ValueError: If an entry is missing, has another shape, or holds what a network does not have.
        """
        if isinstance(batch, ReadBatch):
            return batch
        read = read_batch(batch)
        if labels == "optional":
            # Only prompts are read then, whose length is checked when they are responded to.
            return fit_ids(read, self._known_limits(), self._tokenizer, self._log_once)
        if "labels" not in read:
            if labels == "needed" or "input_ids" not in read:
                raise without_labels(read)
            read = with_all_counted(read)
        check_positions(read, self._known_limits(), self._log_once)
        return fit_ids(read, self._known_limits(), self._tokenizer, self._log_once)

    def _known_limits(self) -> list[Limits]:
        if self._limits is None:
            present = {role: network for role, network in self._networks.items() if network is not None}
            self._limits = [limits_of(network, role) for role, network in present.items()]
        return self._limits
