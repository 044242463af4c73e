"""Losses of last hidden states through an output layer, so that logits never exist in full.

Here: the output layer as numbers, and the loss through it. Not here: networks.
"""

from lightning_abkd.losses.hidden._head_loss import Comparison, HeadLoss, against_head, head_loss, row_chunks
from lightning_abkd.losses.hidden._output_head import OutputHead

__all__ = [
    "Comparison",
    "HeadLoss",
    "OutputHead",
    "against_head",
    "head_loss",
    "row_chunks",
]
