import sys

import pytest

from lightning_abkd.callbacks import NonFiniteGuard
from lightning_abkd.cli._detection import detecting
from tests.cli._commands import refused, run

BROKEN = """
import torch

class Net(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(64, 10), torch.nn.Linear(10, 10))
        torch.nn.init.constant_(self[1].bias, torch.nan)
"""
pytestmark = pytest.mark.float32


def test_a_guard_is_added_or_the_one_of_the_run_detects():
    (added,) = detecting({}, [])
    assert (added.policy, added.detect) == ("stop", True)
    for trainer, others in (({"callbacks": (own := NonFiniteGuard("skip"))}, []), ({}, [own])):
        own.detect = False
        assert detecting(trainer, others) == others
        assert own.detect
    own.detect = False
    assert detecting({"callbacks": [own]}, []) == []
    assert own.detect


def test_detect_names_the_first_bad_module(folder, capsys):
    (folder / "broken.py").write_text(BROKEN)
    sys.path.insert(0, str(folder))
    line = refused(capsys, "--model.teacher", "broken.Net", "--detect", "--trainer.fast_dev_run", "1")
    assert "The teacher's logits contain NaN at step 0" in line
    assert "The first bad module is the teacher's `1` (Linear), whose `bias` is not finite" in line


def test_a_config_may_ask_for_it_in_every_command(folder):
    with (folder / "config.yaml").open("a") as file:
        file.write("detect: true\n")
    for command in ("fit", "validate"):
        cli = run(command, "--trainer.fast_dev_run", "1", "--trainer.callbacks", "null")
        assert [callback.detect for callback in cli.trainer.callbacks if isinstance(callback, NonFiniteGuard)] == [True]
