"""A worker of a data loader that raises or is killed is one sentence."""

import multiprocessing
import os
import signal

import pytest
from torch.utils.data import get_worker_info

from lightning_abkd.cli._errors import readable_errors
from tests._processes import Rank
from tests.cluster._trainings import Noise, NoiseDataModule, quiet, train


class Faulty(Noise):
    """Raises an error at the sixth image, or kills the worker that reads it."""

    def __init__(self, size, kills):
        super().__init__(size)
        self.kills = kills

    def __getitem__(self, index):
        if index == 5 and self.kills and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 5 and not self.kills:
            raise KeyError("no such pixel")
        return super().__getitem__(index)


class FaultyData(NoiseDataModule):
    kills = False

    def dataset(self, split):
        return Faulty(16, self.kills) if split == "train" else super().dataset(split)


class KilledData(FaultyData):
    kills = True


def learn(folder, data, command):
    # As everywhere but in processes of these tests; their server would start another one.
    multiprocessing.set_start_method("fork", force=True)
    with quiet():
        if not command:
            return train(folder, data=data)
        with readable_errors():
            return train(folder, data=data)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_sample_that_raises_is_named(tmp_path, workers):
    output = tmp_path / "output"
    rank = Rank(learn, (tmp_path, FaultyData(num_workers=workers), True), output=output)
    assert rank.code() == 2
    said = [line for line in output.read_text().splitlines() if line.startswith("abkd: ")]
    assert said == [
        "abkd: Sample 5 of Faulty should be readable and fit the transform. Found KeyError: 'no such pixel' "
        "(ABKD_TRACEBACK=1 shows where this comes from.)"
    ]


def test_a_killed_worker_is_said_with_the_batch(tmp_path):
    output = tmp_path / "output"
    assert Rank(learn, (tmp_path, KilledData(num_workers=1), True), output=output).code() == 2
    (said,) = (line for line in output.read_text().splitlines() if line.startswith("abkd: "))
    assert "A worker of the data loader (process" in said
    assert "was killed after batch" in said
    with pytest.raises(AssertionError, match=r"was killed after batch \d of epoch 1, mostly because memory ran out"):
        Rank(learn, (tmp_path, KilledData(num_workers=1), False)).result()
