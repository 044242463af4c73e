"""A teacher's outputs at the counted tokens of a batch, to be stored."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lightning_abkd.language._batches import network_inputs
from lightning_abkd.language._networks import text_config
from lightning_abkd.language.data import IGNORE_INDEX
from lightning_abkd.language.teachers._separate_head import SeparateHead, separate_head
from lightning_abkd.losses import OutputHead
from lightning_abkd.training import call, logits_of


class CountedOutputs:
    """Computes hidden states or logits of a teacher at the counted tokens of batches.

    Logits come from the whole network where it cannot be taken apart, such as one whose output layer has an adapter.

    Args:
        network: A causal language model in eval mode.
        vocabulary: Number of ids to keep; None keeps all.
        needs_hidden: Whether hidden states are asked for.

    Attributes:
        classes: Number of ids that are kept.

    Raises:
        ValueError: If hidden states are asked for and the network cannot be taken apart.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16}).eval()
        >>> ids = torch.tensor([[5, 6, 7]])
        >>> batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
        >>> CountedOutputs(network, None, needs_hidden=False).logits(batch).shape
        torch.Size([2, 16])
    """

    def __init__(self, network: nn.Module, vocabulary: int | None, needs_hidden: bool) -> None:
        self._network = network
        self._vocabulary = vocabulary
        self._parts: SeparateHead | None = None
        try:
            self._parts = separate_head(network)
        except ValueError as reason:
            if needs_hidden:
                raise ValueError(
                    f"Hidden states cannot stand for the teacher: {reason}. Use the kind 'top_k'."
                ) from reason
        known = vocabulary or text_config(network).vocab_size
        self.classes = known if self._parts is None else len(self._parts.head(vocabulary).weight)

    @property
    def parts(self) -> SeparateHead:
        """Backbone and output layer.

        Raises:
            ValueError: If the network cannot be taken apart.
        """
        if self._parts is None:
            raise ValueError(
                "Hidden states should be asked for when it is built (`needs_hidden=True`). Found a teacher that cannot "
                "be taken apart."
            )
        return self._parts

    @property
    def features(self) -> int:
        """Size D of a hidden state."""
        return self.parts.layer.in_features

    def head(self) -> OutputHead:
        """Return the output head on the CPU."""
        return self.parts.head(self._vocabulary).to(torch.device("cpu"))

    @torch.no_grad()
    def hidden(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Compute last hidden states, shape (N, D)."""
        return _counted(self.parts.hidden(**self._inputs(batch)), batch)

    @torch.no_grad()
    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Compute logits, shape (N, V)."""
        if self._parts is not None:
            return self._parts.head(self._vocabulary).logits(self.hidden(batch))
        inputs = network_inputs(self._inputs(batch), self._network)
        return _counted(logits_of(call(self._network, inputs), "teacher"), batch)[:, : self._vocabulary]

    def _inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return ids and mask on the network's device; padding of an added token may be beyond the embedding."""
        device = next(self._network.parameters()).device
        mask = batch["attention_mask"]
        inputs = {"input_ids": batch["input_ids"].masked_fill(mask == 0, 0), "attention_mask": mask}
        return {name: value.to(device) for name, value in inputs.items()}


def _counted(outputs: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Pick the outputs whose next token counts."""
    return outputs[:, :-1][batch["labels"][:, 1:].to(outputs.device) != IGNORE_INDEX]
