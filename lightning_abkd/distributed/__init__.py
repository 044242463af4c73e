"""Collectives: what the processes of one training tell each other. Everything here also runs on a single process."""

from lightning_abkd.distributed._collectives import (
    gather_objects,
    gather_rows,
    is_distributed,
    sum_over_ranks,
    world_size,
)

__all__ = ["gather_objects", "gather_rows", "is_distributed", "sum_over_ranks", "world_size"]
