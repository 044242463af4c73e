"""A teacher's stored outputs when the process is killed, the disk is full, or the files leave."""

import os
import shutil
import signal

import pytest
import torch
from lightning.pytorch import Callback, Trainer

import lightning_abkd.language.callbacks._cached_teacher
from lightning_abkd.callbacks import CachedTeacher
from lightning_abkd.models import TeacherCache, TeacherCacheWriter, causal_lm
from tests._processes import Rank
from tests.cluster._disks import fill, small_disk
from tests.cluster._trainings import quiet
from tests.language._text import instruction_data, language_module, network, weights
from tests.language.teachers._teacher_caches import HIDDEN, IDENTITY, LOGITS, writer


def written_on_a_full_disk(folder, kind):
    """Return which outputs a cache holds whose disk became full after it was begun."""
    small_disk(folder, 1 << 20)
    made = writer(folder / "cache", kind)
    fill(folder)
    (made.write_hidden if kind == "hidden" else made.write_top_k)(
        torch.arange(4), HIDDEN if kind == "hidden" else LOGITS
    )
    (folder / "rest").unlink()
    made.close()
    cache = TeacherCache(folder / "cache")
    return cache.hidden(torch.arange(4)) if kind == "hidden" else cache.top_k(torch.arange(4))[1]


def test_a_cache_that_was_begun_has_its_space_on_a_full_disk(tmp_path):
    for kind in ("hidden", "top_k"):
        (tmp_path / kind).mkdir()
        found = Rank(written_on_a_full_disk, (tmp_path / kind, kind)).result()
        assert found.isfinite().all()
        assert len(found) == 6


def too_large(folder):
    small_disk(folder, 1 << 20)
    counts = [1] * 500_000
    try:
        TeacherCacheWriter(folder / "cache", IDENTITY, "top_k", counts, width=2, vocabulary=5)
    except OSError as error:
        return str(error), [each.name for each in (folder / "cache").iterdir()]
    return "", []


def test_a_cache_that_does_not_fit_is_one_sentence_and_leaves_nothing(tmp_path):
    message, files = Rank(too_large, (tmp_path,)).result()
    assert message.startswith("The disk")
    assert "needs 7.0 MB" in message
    assert "Make room, or name another folder." in message
    assert files == []


class Killed(TeacherCacheWriter):
    """Kills its process in the middle of the second batch: the values are written, their marks are not."""

    def _write(self, name, places, values):
        if name == "done" and self._arrays["done"].any():
            os.kill(os.getpid(), signal.SIGKILL)
        super()._write(name, places, values)


def learn(folder, killed=False):
    torch.manual_seed(0)
    data = instruction_data(folder, batch_size=2)
    module = language_module()
    if killed:
        lightning_abkd.language.callbacks._cached_teacher.TeacherCacheWriter = Killed
    options = {"accelerator": "cpu", "max_epochs": 2, "logger": False, "enable_checkpointing": False}
    with quiet():
        Trainer(**options, enable_progress_bar=False, callbacks=[CachedTeacher(str(folder / "cache"))]).fit(
            module, datamodule=data
        )
    return weights(module)


def test_a_killed_cache_is_not_taken_for_whole_and_is_continued(tmp_path):
    (tmp_path / "whole").mkdir()
    whole = Rank(learn, (tmp_path / "whole",)).result()
    assert Rank(learn, (tmp_path, True)).code() == -signal.SIGKILL
    with pytest.raises(ValueError, match="should be finished. Found 2 of 7 samples done. Run the writing"):
        TeacherCache(tmp_path / "cache")
    assert torch.equal(Rank(learn, (tmp_path,)).result(), whole)


class Leaves(Callback):
    """Removes the teacher's files after the first step."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, *unused):
        shutil.rmtree(self.folder, ignore_errors=True)


def learn_while_files_leave(folder, cached, leaves):
    torch.manual_seed(0)
    network(1).save_pretrained(folder / "teacher")
    module = language_module(teacher=causal_lm(str(folder / "teacher")))
    place = folder / ("cache" if cached else "teacher")
    callbacks = [*([CachedTeacher(str(folder / "cache"))] if cached else []), *([Leaves(place)] if leaves else [])]
    options = {"accelerator": "cpu", "max_epochs": 2, "logger": False, "enable_checkpointing": False}
    with quiet():
        run = Trainer(
            **options, enable_progress_bar=False, callbacks=[*callbacks, *([Leaves(place)] if leaves else [])]
        )
        run.fit(module, datamodule=instruction_data(folder, batch_size=2))
    return weights(module), place.exists()


@pytest.mark.parametrize("cached", [True, False])
def test_a_teacher_whose_files_leave_during_training_goes_on(tmp_path, cached):
    (tmp_path / "stays").mkdir()
    stays, _ = Rank(learn_while_files_leave, (tmp_path / "stays", cached, False)).result()
    leaves, is_there = Rank(learn_while_files_leave, (tmp_path, cached, True)).result()
    assert not is_there
    assert torch.equal(stays, leaves)
