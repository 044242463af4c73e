import resource
import shutil

import pytest
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import AsyncCheckpointIO
from torch import nn

from lightning_abkd.training._checkpoint_io import AtomicCheckpointIO, local_path
from tests._processes import Rank
from tests.training._training import loader, module, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:Checkpoint directory")


class OwnIO(TorchCheckpointIO):
    pass


@pytest.mark.parametrize("plugin", [None, AsyncCheckpointIO, TorchCheckpointIO])
def test_a_trainer_writes_whole_checkpoints_without_being_told(tmp_path, plugin):
    run = trainer(tmp_path, plugins=[] if plugin is None else [plugin()])
    run.fit(module(), loader())
    used = run.strategy.checkpoint_io
    assert isinstance(used.checkpoint_io if plugin is AsyncCheckpointIO else used, AtomicCheckpointIO)


def test_a_plugin_of_the_users_stays(tmp_path):
    run = trainer(tmp_path, plugins=[OwnIO()])
    run.fit(module(), loader())
    assert isinstance(run.strategy.checkpoint_io, OwnIO)


def test_files_elsewhere_are_lightnings(tmp_path):
    assert local_path("memory://a.ckpt") is None
    assert local_path(f"file://{tmp_path}/a") == local_path(tmp_path / "a") == tmp_path / "a"
    AtomicCheckpointIO().save_checkpoint({"epoch": 3}, "memory://a.ckpt")
    assert AtomicCheckpointIO().load_checkpoint("memory://a.ckpt") == {"epoch": 3}


def fit_onto_a_full_disk(folder):
    saved = ModelCheckpoint(folder, save_last=True, save_top_k=0, every_n_train_steps=1)
    run = trainer(folder, max_steps=1, callbacks=[saved], enable_checkpointing=True)
    run.fit(module(student=nn.Sequential(nn.Linear(5, 4000), nn.Linear(4000, 7))), loader())
    shutil.copy(folder / "last.ckpt", folder / "kept.ckpt")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        run.save_checkpoint(folder / "last.ckpt")
    except OSError as error:
        return str(error)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    assert "last.ckpt needs 0." in Rank(fit_onto_a_full_disk, (tmp_path,)).result()
    assert (tmp_path / "last.ckpt").read_bytes() == (tmp_path / "kept.ckpt").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kept.ckpt", "last.ckpt"]
