import sys

import pytest
import torch
import yaml

from lightning_abkd.losses import ReverseKL
from lightning_abkd.modules import DistillationModule
from tests.cli._commands import run

pytestmark = pytest.mark.float32

MY_PROJECT = """
from lightning_abkd.losses import Divergence
from lightning_abkd.modules import DistillationModule


class MyModule(DistillationModule):
    def __init__(self, extra: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.extra = extra


class MyLoss(Divergence):
    def pointwise(self, log_p, log_q):
        return (log_p - log_q).square().mean(-1)
"""


def test_fit_test_and_predict_run_from_one_config(folder):
    cli = run("fit")
    assert cli.model.divergence.beta.item() == 1.0
    assert (
        yaml.safe_load((folder / "logs" / "version_0" / "config.yaml").read_text())["model"]["init_args"]["task_weight"]
        == 1.0
    )
    result = run("test", "--ckpt_path", "best").trainer.callback_metrics
    assert {"test/accuracy", "test/agreement"} <= set(result)
    run("predict", "--ckpt_path", "checkpoints/last.ckpt", "--return_predictions", "true")


@pytest.mark.parametrize("options", [["--model.divergence.alpha", "0.3"], ["--model.divergence.init_args.alpha=0.3"]])
def test_options_override_the_config(options):
    cli = run("fit", "--trainer.fast_dev_run", "1", *options)
    assert cli.model.divergence.alpha.item() == pytest.approx(0.3)


def test_short_class_names_are_found():
    divergence = "lightning_abkd.losses.ReverseKL"
    for name in ("ReverseKL", divergence):
        cli = run("fit", "--trainer.fast_dev_run", "1", "--trainer.callbacks", "null", "--model.divergence", name)
        assert isinstance(cli.model.divergence, ReverseKL)


def test_a_users_own_module_and_loss_are_taken_by_class_path(folder):
    (folder / "my_project.py").write_text(MY_PROJECT)
    options = ["--model", "my_project.MyModule", "--model.extra", "5", "--model.divergence", "my_project.MyLoss"]
    sys.path.insert(0, str(folder))
    cli = run("fit", "--trainer.fast_dev_run", "1", "--trainer.callbacks", "null", *options)
    assert (type(cli.model).__name__, cli.model.extra) == ("MyModule", 5)


def test_print_config_round_trips(folder, capsys):
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--print_config")
    (folder / "config.yaml").write_text(printed := capsys.readouterr().out)
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--print_config")
    assert capsys.readouterr().out == printed


def test_a_checkpoint_rebuilds_its_module_without_the_teacher(folder):
    run("fit", "--trainer.max_epochs", "1")
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert "teacher" not in content["hyper_parameters"]
    module = DistillationModule.load_from_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert module.teacher is None
    torch.testing.assert_close(module.state_dict(), content["state_dict"])
