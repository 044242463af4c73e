"""Losses of last hidden states through an output layer, so that logits never exist in full.

Here: the weights of the output layer, and the loss through it. Not here: networks.
"""

from lightning_abkd.losses.hidden._head_loss import HeadLossTerms, compare_with_head, head_loss, split_rows
from lightning_abkd.losses.hidden._head_rows import PairedLogits
from lightning_abkd.losses.hidden._output_head import OutputHead

__all__ = [
    "HeadLossTerms",
    "OutputHead",
    "PairedLogits",
    "compare_with_head",
    "head_loss",
    "split_rows",
]
