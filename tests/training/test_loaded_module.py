import os

import pytest
import torch

from lightning_abkd.modules import DistillationModule
from tests.training._training import loader, module, network, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    run = trainer(tmp_path, max_steps=1)
    run.fit(net := module(), loader())
    run.save_checkpoint(path := tmp_path / "a.ckpt")
    with path.open("rb") as file:
        loaded = DistillationModule.load_from_checkpoint(file, student=network())
    assert torch.equal(loaded.student[0].weight, net.student[0].weight)
    os.truncate(path, 1000)
    with pytest.raises(ValueError, match="a.ckpt cannot be read"):
        DistillationModule.load_from_checkpoint(path, student=network())
