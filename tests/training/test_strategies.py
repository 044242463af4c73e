import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy

from lightning_abkd.training import register_strategies


@pytest.mark.parametrize("name", ["fsdp2", "ModelParallelStrategy"])
def test_a_trainer_knows_the_strategy_by_its_name(name):
    register_strategies()
    assert type(Trainer(accelerator="cpu", devices=2, strategy=name).strategy) is ModelParallelStrategy
