"""Collectives: what the processes of one training tell each other. Everything here also runs on a single process.

Here: rows of all processes, row sums of a vocabulary that lies on several of them, and how logits lie on a mesh.
Not here: anything from Lightning.
"""

from lightning_abkd.distributed._classes import keep_classes
from lightning_abkd.distributed._collectives import (
    gather_objects,
    gather_rows,
    is_distributed,
    sum_over_ranks,
    world_size,
)
from lightning_abkd.distributed._layout import Layout, is_sharded, joined_from, layout_of, on_every_process, whole
from lightning_abkd.distributed._process_sums import sum_over_processes
from lightning_abkd.distributed._row_blocks import RowBlocks
from lightning_abkd.distributed._shard_labels import cross_entropy_from_shards, most_probable
from lightning_abkd.distributed._shard_sums import PartialDivergence
from lightning_abkd.distributed._vocabulary import alpha_beta_from_shards, divergence_from_shards

__all__ = [
    "Layout",
    "PartialDivergence",
    "RowBlocks",
    "alpha_beta_from_shards",
    "cross_entropy_from_shards",
    "divergence_from_shards",
    "gather_objects",
    "gather_rows",
    "is_distributed",
    "is_sharded",
    "joined_from",
    "keep_classes",
    "layout_of",
    "most_probable",
    "on_every_process",
    "sum_over_processes",
    "sum_over_ranks",
    "whole",
    "world_size",
]
