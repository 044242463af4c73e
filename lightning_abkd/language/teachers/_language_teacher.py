"""The frozen teacher of a language model."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from lightning_abkd.language._batches import TokenBatch, backbone_inputs, rows_at
from lightning_abkd.language.teachers._separate_head import SeparateHead, separate_head
from lightning_abkd.losses import OutputHead, PairedLogits, compare_with_head
from lightning_abkd.training import Teacher, TeacherDtype


class TeacherAnswer(NamedTuple):
    """What a teacher returns for a batch.

    Args:
        compare: Function that pairs the student's logits of some counted tokens with the teacher's.
        hidden: The teacher's last hidden states (N, D), to find out where a NaN came from; None if it has none.

    Example: see `LanguageTeacher`.
    """

    compare: PairedLogits
    hidden: Tensor | None = None


class TokenTeacher(Protocol):
    """A teacher of batches of tokens: a network, or its stored outputs.

    Example: see `LanguageTeacher`.
    """

    def answer(self, batch: TokenBatch, counted: Tensor, vocabulary: int | None) -> TeacherAnswer:
        """Return the outputs at the counted tokens (N,) of a batch, over the first `vocabulary` ids or all."""


class LanguageTeacher(Teacher):
    """A teacher that can be taken apart into backbone and output layer.

    Args:
        network: A causal language model; its parameters are frozen.
        dtype: Dtype of its weights and arithmetic, see `Teacher`.
        placement: Where its weights lie, see `DistillationModule`.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> teacher = LanguageTeacher(network)
        >>> teacher.take_apart().layer.out_features
        16
        >>> teacher.answer({"input_ids": torch.tensor([[5, 6, 7]])}, torch.tensor([0, 1]), vocabulary=None).hidden.shape
        torch.Size([2, 8])
    """

    def __init__(self, network: nn.Module, dtype: TeacherDtype | None = None, placement: str = "replicate") -> None:
        super().__init__(network, dtype, placement)
        # Kept here, so that copies of the student's module do not copy the teacher with it.
        self._separate: SeparateHead | None = None
        self._copied: OutputHead | None = None

    def take_apart(self, inputs: TokenBatch | None = None) -> SeparateHead:
        """Return the network's backbone and output layer, found at the first call and whenever `inputs` are given.

        Args:
            inputs: A few tokens to compare the whole and its parts on, see `separate_head`.

        Raises:
            ValueError: If the network cannot be taken apart, with the reason.
        """
        if self._separate is None or inputs is not None:
            tokens = self.placement.arriving(inputs)
            self._separate = self.placement.run(lambda: separate_head(self.network, tokens))
        return self._separate

    def answer(self, batch: TokenBatch, counted: Tensor, vocabulary: int | None) -> TeacherAnswer:
        """Run the backbone on a batch; logits of the counted tokens are computed when they are compared."""
        parts = self.take_apart()
        hidden = rows_at(self(backbone_inputs(batch), parts.hidden), counted)
        return TeacherAnswer(compare_with_head(hidden, self._head(parts, vocabulary)), hidden)

    def _at_home(self, head: OutputHead) -> OutputHead:
        """Return the output layer where the student is, which compares logits; a copy is made once."""
        home = self.placement.home
        if home is None or head.weight.device == home:
            return head
        if self._copied is None or self._copied.weight.shape != head.weight.shape:
            self._copied = head.to(home)
        return self._copied

    def _head(self, parts: SeparateHead, vocabulary: int | None) -> OutputHead:
        """Return the output layer in the precision that the teacher runs in."""
        head = self._at_home(parts.head(vocabulary))
        device = head.weight.device.type
        if self.own_precision or not torch.is_autocast_enabled(device):
            return head
        return head.to(torch.get_autocast_dtype(device))
