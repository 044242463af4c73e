"""A training that is killed, or whose disk is full, has a whole checkpoint and goes on as if nothing had been."""

import os
import signal
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

import lightning_abkd.training._whole_files
from lightning_abkd.cli._errors import readable_errors
from tests._processes import Rank
from tests.cluster._disks import fill, small_disk
from tests.cluster._trainings import Fault, quiet, steps, train

POINTS = {"step": ("on_after_backward", 8), "validation": ("on_validation_batch_end", 2)}


def killed(folder, kind, hook, call):
    train(folder, kind, [Fault(hook, call, signal.SIGKILL)])


def killed_in_a_checkpoint(folder, kind, *unused):
    """Kill the process when half of the second checkpoint's bytes are on the disk."""
    save, count = torch.save, iter(range(100))

    def save_half(content, file):
        save(content, file)
        if file.name.endswith(".part") and next(count) == 2:
            file.truncate(file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    lightning_abkd.training._whole_files.torch.save = save_half
    train(folder, kind)


@pytest.mark.parametrize(
    ("kind", "point"), [("images", "step"), ("images", "validation"), ("images", "checkpoint"), ("language", "step")]
)
def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path, whole, kind, point):
    function = killed_in_a_checkpoint if point == "checkpoint" else killed
    assert Rank(function, (tmp_path, kind, *POINTS.get(point, ()))).code() == -signal.SIGKILL
    for path in (tmp_path / "kept").glob("*.ckpt"):
        assert torch.load(path)["global_step"] in (3, 6, 9)
    files = Rank(train, (tmp_path, kind)).result()
    assert steps(tmp_path) == whole[kind]
    assert [name for name in files if name.endswith(".part")] == []


class Fills(ModelCheckpoint):
    """Fills the disk after the first checkpoint."""

    def on_train_batch_end(self, trainer, *others):
        super().on_train_batch_end(trainer, *others)
        if trainer.global_step == 3:
            fill(Path(trainer.default_root_dir))


def on_a_full_disk(folder):
    small_disk(folder / "disk", 1 << 17)
    with quiet(), readable_errors():
        keeper = Fills(folder / "disk" / "kept", save_top_k=1, save_last=True, every_n_train_steps=3)
        try:
            train(folder / "disk", callbacks=[keeper], kept=False, enable_checkpointing=True)
        finally:
            left = [torch.load(path)["global_step"] for path in (folder / "disk/kept").glob("*.ckpt")]
            (folder / "left").write_text(f"{left} {sorted(each.suffix for each in (folder / 'disk/kept').iterdir())}")


def test_a_full_disk_leaves_the_checkpoint_before_and_is_one_sentence(tmp_path):
    output = tmp_path / "output"
    assert Rank(on_a_full_disk, (tmp_path,), output=output).code() == 2
    (said,) = (line for line in output.read_text().splitlines() if line.startswith("abkd: "))
    assert "The disk is full" in said or "The disk takes no file of this size" in said
    assert "Make room, or name another folder." in said
    assert (tmp_path / "left").read_text() == "[3, 3] ['.ckpt', '.ckpt']"
