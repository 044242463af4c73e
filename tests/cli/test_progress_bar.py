import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_abkd.cli._progress_bar import DistillationBar, epoch_name
from tests.cli._commands import run
from tests.cli._terminal import WIDTH, seen, trained

pytestmark = pytest.mark.float32


def test_the_bar_fits_a_terminal_of_80_columns_and_shows_five_values(monkeypatch, capsys):
    lines = seen(monkeypatch, capsys, lambda: run("fit", *trained("--trainer.log_every_n_steps", "1")))
    bars = [line for line in lines if line.startswith("Epoch") and "loss" in line and "/6" in line]
    assert max(map(len, bars)) < WIDTH
    names = [[word for word in bar.split(", ")[1].split() if not word[0].isdigit()] for bar in bars]
    assert names[-1] == ["loss", "task", "div", "α", "β"]
    assert bars[-1].startswith("Epoch 2/2: 6/6 ")
    assert " α 0.80 β 1.00" in bars[-1]


def test_sanity_checking_shows_no_values(monkeypatch, capsys):
    lines = seen(monkeypatch, capsys, lambda: run("fit", *trained("--trainer.num_sanity_val_steps", "2")))
    checks = [line for line in lines if line.startswith("Sanity")]
    assert checks
    assert not [line for line in checks if "loss" in line or "accuracy" in line]
    assert not [line for line in lines[: lines.index(checks[-1])] if "validation" in line]


class Own(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch):
        loss = self.layer(batch).mean()
        self.log("train/a_very_long_name_of_a_metric", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore:The 'train_dataloader'", "ignore:You passed in a `val_dataloader`")
def test_a_module_that_logs_other_values_shows_those():
    bar = DistillationBar()
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=1, callbacks=[bar], **options)
    trainer.fit(module := Own(), torch.utils.data.DataLoader(torch.randn(4, 2), 2))
    assert list(bar.get_metrics(trainer, module)) == ["a_very_long_"]


def test_epochs_are_counted_from_one_and_an_endless_training_has_no_last():
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    assert epoch_name(Trainer(max_epochs=3, **options)) == "Epoch 1/3"
    assert epoch_name(Trainer(max_epochs=-1, **options)) == "Epoch 1"
