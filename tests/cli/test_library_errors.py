import re
from pathlib import Path

import pytest
import torch

from lightning_abkd.cli._library_errors import library_sentence
from tests.cli._commands import refused, run

pytestmark = pytest.mark.float32
WATCHES = r"watches `monitor: val/los`, which is not logged. Did you mean val/loss\? There are val/loss, val/divergence"
STOP = ("--trainer.callbacks+", "EarlyStopping", "--trainer.callbacks.monitor", "val/los")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.callbacks.monitor", "val/los"], f"ModelCheckpoint {WATCHES}"),
        (STOP, f"EarlyStopping {WATCHES}"),
        (["--trainer.accelerator", "gpuu"], "You selected an invalid accelerator name"),
        (["--trainer.strategy", "dpp"], "You selected an invalid strategy name"),
        (["--trainer.devices", "0"], "devices='0'.* value is not a valid input using cpu accelerator"),
        (["--trainer.max_epochs", "-5"], "`max_epochs` must be a non-negative integer or -1"),
    ],
)
def test_what_lightning_refuses_is_one_sentence(capsys, options, message):
    assert re.search(message, refused(capsys, *options))


@pytest.mark.parametrize(("command", "epochs"), [("fit", "3"), ("test", "1")])
def test_a_checkpoint_of_another_network_is_one_sentence(capsys, command, epochs):
    run("fit", "--trainer.max_epochs", "1")
    other = ["--model.student.hidden_channels", "[5, 10]", "--ckpt_path", "checkpoints/last.ckpt"]
    message = refused(capsys, *other, "--trainer.max_epochs", epochs, command=command)
    assert "The checkpoint checkpoints/last.ckpt should be of this DistillationModule" in message


def test_a_device_that_is_not_there_is_named():
    error = RuntimeError("No supported gpu backend found!")
    assert "`--trainer.accelerator` should name a device" in library_sentence(error, Path("lightning/x.py"))


def test_the_hub_names_what_was_asked_for():
    def load(pretrained_model_name_or_path):
        raise OSError("We couldn't connect.")

    with pytest.raises(OSError, match="connect") as caught:
        load("no/such-model")
    said = library_sentence(caught.value, Path("transformers/utils/hub.py"))
    assert said == "Cannot load 'no/such-model': We couldn't connect."


@pytest.mark.parametrize("place", ["torch/nn/modules/conv.py", "mine.py", "lightning/pytorch/loops/loop.py"])
def test_an_error_that_names_no_option_is_left_alone(place):
    assert library_sentence(RuntimeError("Expected 4D input"), Path(place)) is None


def test_torch_words_a_foreign_state_so():
    with pytest.raises(RuntimeError, match="Error") as caught:
        torch.nn.Linear(2, 3).load_state_dict({"weight": torch.zeros(3, 1), "x": torch.zeros(1)})
    said = library_sentence(caught.value, Path("torch/nn/modules/module.py"))
    assert "1 missing, such as bias; 1 unknown, such as x; 1 of other sizes, such as weight" in said
