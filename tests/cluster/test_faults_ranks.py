"""A rank that is killed or hangs: the other one ends with a sentence, and torchrun starts both again."""

import os
import signal
from datetime import timedelta

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from tests._processes import Rank, on_ranks, start_ranks
from tests.cluster._trainings import steps, train


class Second(Callback):
    """Sends a signal to the second rank before its sixth step, where it was not restarted."""

    def __init__(self, number):
        self.number = number

    def on_before_optimizer_step(self, trainer, *unused):
        is_first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        if trainer.global_step == 5 and trainer.global_rank == 1 and is_first:
            os.kill(os.getpid(), self.number)


def learn(folder, number):
    strategy = DDPStrategy(timeout=timedelta(seconds=2))
    train(folder, callbacks=[Second(number)], devices=2, strategy=strategy)
    return steps(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_other_rank_ends_with_a_sentence(tmp_path, number):
    ranks = start_ranks(learn, 2, tmp_path, number)
    try:
        with pytest.raises(AssertionError, match=r"is gone or does not answer .*Go on from the last checkpoint with"):
            ranks[0].result(30)
        assert ranks[0].code() == 1
    finally:
        ranks[1].kill()


def agent(folder):
    """Do as torchrun does, but with a function in place of a script, and return what the ranks return."""
    # Else the ranks of a restart find the addresses of those before.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    os.environ["TORCHELASTIC_ENABLE_FILE_TIMER"] = "0"
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        run_id="test",
        max_restarts=1,
        monitor_interval=0.1,
        start_method="fork",
    )
    return elastic_launch(config, learn)(folder, signal.SIGKILL)


def test_torchrun_restarts_and_the_run_goes_on_from_its_last_checkpoint(tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, _ = on_ranks(learn, 2, tmp_path / "whole", 0)
    output = tmp_path / "output"
    assert Rank(agent, (tmp_path / "killed",), output=output).result()[0] == whole
    assert "Restored all states from the checkpoint at" in output.read_text()
