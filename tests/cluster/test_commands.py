"""Commands on several ranks, which torchrun or Lightning starts with the same words."""

import os
import re
import warnings

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.cli._end_report import report
from tests._processes import on_ranks
from tests.cli._commands import CONFIG

FSDP2 = "lightning.pytorch.strategies.ModelParallelStrategy"


def commands(folder):
    os.chdir(folder)
    (folder / "config.yaml").write_text(CONFIG)
    found = {}
    for strategy in ("ddp", FSDP2):
        words = ["--config", "config.yaml", "--trainer.devices", "2", "--trainer.strategy", strategy]
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            fitted = AbkdCLI(["fit", *words, "--trainer.max_epochs", "1"])
            tested = AbkdCLI(["test", *words, "--ckpt_path", "best"])
        values = {name: float(value) for name, value in tested.trainer.callback_metrics.items()}
        taken = (type(fitted.trainer.strategy).__name__, fitted.trainer.global_step, report(fitted.trainer)[0][:18])
        needless = [each for each in warned if re.search("DistributedSampler|sync_dist", str(each.message))]
        found[strategy] = (*taken, len(needless), values["test/accuracy"])
    return found


def test_a_fit_and_a_test_end_on_all_ranks_under_either_strategy(tmp_path):
    first, second = on_ranks(commands, 2, tmp_path)
    assert first == second
    best = (3, "Best epoch: 1 of 1", 0)
    assert [found[:4] for found in first.values()] == [("DDPStrategy", *best), ("ModelParallelStrategy", *best)]
    assert all((tmp_path / "logs" / f"version_{n}" / "config.yaml").is_file() for n in range(2))
