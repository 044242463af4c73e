import os
import shutil

import pytest
import torch

from lightning_abkd.training._checkpoint_files import (
    ForeignCheckpointError,
    is_sharded_checkpoint,
    newest_readable,
    without_weights,
)
from tests.training._training import loader, module, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


@pytest.fixture
def checkpoint(tmp_path):
    run = trainer(tmp_path, max_steps=1)
    run.fit(module(), loader())
    run.save_checkpoint(tmp_path / "first.ckpt")
    return shutil.copy(tmp_path / "first.ckpt", tmp_path / "second.ckpt")


def cut(path, share=0.5):
    os.truncate(path, int(path.stat().st_size * share))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_cut_checkpoint_is_named_and_the_one_before_offered(tmp_path, checkpoint, share):
    cut(checkpoint, share)
    with pytest.raises(ValueError, match=r"second.ckpt cannot be read .*can be read is .*first.ckpt\.$") as caught:
        without_weights(checkpoint)
    assert "\n" not in str(caught.value)


def test_the_newest_that_can_be_read_is_offered(tmp_path, checkpoint):
    (tmp_path / "link.ckpt").symlink_to(checkpoint)
    (tmp_path / "broken.ckpt").write_bytes(b"PK")
    for age, name in enumerate(("broken", "second", "first")):
        os.utime(tmp_path / f"{name}.ckpt", (1000 - age, 1000 - age))
    assert newest_readable(tmp_path / "missing.ckpt") in (checkpoint, tmp_path / "link.ckpt")
    assert newest_readable(checkpoint) == tmp_path / "first.ckpt"
    assert newest_readable(tmp_path / "nowhere" / "a.ckpt") is None


def test_weights_alone_are_named(tmp_path):
    torch.save(module().state_dict(), path := tmp_path / "weights.ckpt")
    with pytest.raises(ForeignCheckpointError, match="as Lightning writes it. Found divergence.alpha"):
        without_weights(path)


def test_a_missing_one_is_named(tmp_path, checkpoint):
    with pytest.raises(FileNotFoundError, match=r"Found no checkpoint at .*third.ckpt\. The newest checkpoint there"):
        without_weights(tmp_path / "third.ckpt")


def test_code_in_a_checkpoint_is_named(tmp_path):
    torch.save({"pytorch-lightning_version": "2.6", "code": pytest.fixture}, path := tmp_path / "code.ckpt")
    with pytest.raises(ValueError, match="needs pickle to run code, _pytest.fixtures.fixture.*`weights_only=False`"):
        without_weights(path)


def test_a_folder_without_shards_is_no_checkpoint(tmp_path):
    (folder := tmp_path / "a.ckpt").mkdir()
    assert not is_sharded_checkpoint(folder)
    with pytest.raises(ValueError, match="a folder without the shards of a checkpoint"):
        without_weights(folder)


@pytest.mark.parametrize("method", ["fit", "validate"])
def test_a_trainer_names_what_it_cannot_read(tmp_path, checkpoint, method):
    cut(checkpoint)
    with pytest.raises(ValueError, match=r"second.ckpt cannot be read .*first.ckpt\.$"):
        getattr(trainer(tmp_path), method)(module(), loader(), ckpt_path=checkpoint)
    torch.save({"weight": torch.zeros(1)}, checkpoint)
    with pytest.raises(ForeignCheckpointError, match="should be a checkpoint of a training"):
        getattr(trainer(tmp_path), method)(module(), loader(), ckpt_path=checkpoint)
