"""Short names of strategies that Lightning has none for."""

from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry

_PIECES = "Weights in pieces on all ranks, by fully_shard of torch"


def register_strategies() -> None:
    """Let a trainer know `fsdp2`, and `ModelParallelStrategy` by its name.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> register_strategies()
        >>> type(Trainer(accelerator="cpu", devices=2, strategy="fsdp2", logger=False).strategy).__name__
        'ModelParallelStrategy'
    """
    # Lightning reads names in lower case.
    for name in ("fsdp2", "modelparallelstrategy"):
        StrategyRegistry.register(name, ModelParallelStrategy, _PIECES, override=True)
