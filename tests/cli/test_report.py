import re
from collections.abc import Callable

import jsonargparse
import pytest
import torch

from lightning_abkd.cli import _report
from lightning_abkd.cli._report import one_sentence
from lightning_abkd.losses import DKD, DistillationLoss
from tests.cli._commands import CONFIG, refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.divergence.aplha", "1"], "model.divergence .*AlphaBetaDivergence.*'aplha' is not accepted. Did you"),
        (["--model.divergence.gamma", "1"], "'gamma' is not accepted. It accepts alpha, beta, temperature"),
        (["--model.divergence", "{class_path: ReverseKL, init_args: {gamma: 1}}"], "'gamma' is not accepted"),
        (["--trainer.callbacks.beta", "0.3"], r"'beta' is not accepted. .*Options with a dot go to the last callback"),
        (["--data.batch_siz", "1"], r"data \(.*DigitsDataModule\): .* is not accepted. Did you mean 'batch_size'"),
        (["--model.optimizer.lrr", "1"], r"optimizer \(torch.optim.AdamW\): .* is not accepted. Did you mean 'lr'"),
        (["--model.divergence.alpha", "much"], "model.divergence.alpha .*Expected a <class 'float'>. Got value: much"),
        (["--trainer.max_epochs", "many"], "trainer.max_epochs: Expected a <class 'int'>. Got value: many"),
        (["--seed_everything", "x"], "seed_everything: Expected a <class 'bool'> or <class 'int'>. Got value: x"),
        (["--data.batch_size.x", "1"], r"data.batch_size \(.*\): takes a value and has no option 'x' of its own"),
        (["--model.divergence", "[1]"], r"Not a valid subclass of DistillationLoss. Got value: \[1\]"),
        (["--model.divergence", "torch.nn.Linear"], "not correspond to a subclass of .*Got value: torch.nn.Linear"),
        (["--model", "nowhere.Module"], r"model \(nowhere.Module\): No module named 'nowhere'$"),
        (["--model.student", "torch.nn.Linearr"], "module 'torch.nn' has no attribute 'Linearr'$"),
        (["--trainer.logger", "CSVLoger"], "trainer.logger: Found no class 'CSVLoger'; give its path, such as [^?]*$"),
        (["--tariner.max_epochs", "3"], "Found no option `--tariner.max_epochs`. Did you mean `--trainer.max_epochs`"),
        (["--config", "missing.yaml"], "`--config` should name a file. Found none at missing.yaml"),
    ],
)
def test_mistakes_are_one_sentence_before_training(capsys, options, message):
    assert re.search(message, refused(capsys, *options))


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (["--model.divergence", "ReverseKLL"], "losses.ReverseKL"),
        (["--model.divergence", "lightning_abkd.losses.ReverseKLL"], "losses.ReverseKL"),
        (["--model.divergence", "lightning_abkd.loses.ReverseKL"], "losses.ReverseKL"),
        (
            ["--model.divergence", "{class_path: lightning_abkd.losses.AlphaBetaDivergense}"],
            "losses.AlphaBetaDivergence",
        ),
        (["--model", "lightning_abkd.modul.DistillationModule"], "modules.DistillationModule"),
        (["--model", "lightning_abkd.a.b.DistillationModule"], "modules.DistillationModule"),
        (["--model.teacher", "resnet20x"], "models.resnet20"),
        (["--model.student", "lightning_abkd.models.resnet200"], "models.resnet20"),
        (["--data", "DigitDataModule"], "data.DigitsDataModule"),
        (["--trainer.callbacks", "AlphaBetaSchedulr"], "callbacks.AlphaBetaScheduler"),
        (["--trainer.callbacks+=lightning_abkd.callbacks.SavePretraind"], "callbacks.SavePretrained"),
    ],
)
def test_class_that_exists_nowhere_has_a_closest_public_path(capsys, options, meant):
    message = refused(capsys, *options)
    assert "Found no class " in message
    assert message.endswith(f"Did you mean lightning_abkd.{meant}?")


def test_key_inside_a_nested_class_is_named_in_full(capsys):
    nested = "{class_path: lightning_abkd.losses.DKD, init_args: {divergence: ReverseKLL}}"
    assert "model.divergence.divergence: Found no class 'ReverseKLL'" in refused(capsys, "--model.divergence", nested)


def test_an_unknown_key_in_the_config_is_named(folder, capsys):
    (folder / "config.yaml").write_text(CONFIG.replace("max_epochs", "max_epoch"))
    assert "Found no key `trainer.max_epoch`. Did you mean `trainer.max_epochs`?" in refused(capsys)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            "  class_path: lightning_abkd.modules.DistillationModule\n",
            "",
            "names no class for `model`. Add its `class_path",
        ),
        ("    teacher:", "    callbacks: []\n    teacher:", "It belongs to the trainer, as `trainer.callbacks`"),
        (
            "divergence: {class_path: ",
            "divergence: {classpath: ",
            "`classpath` is beside `init_args`. Did you mean `cl",
        ),
    ],
)
def test_a_key_in_the_wrong_place_is_one_sentence(folder, capsys, right, wrong, message):
    (folder / "config.yaml").write_text(CONFIG.replace(right, wrong))
    assert message in refused(capsys)


def test_a_class_that_does_not_fit_says_where_to_look(capsys):
    message = refused(capsys, "--model.divergence", "resnet20")
    assert message.endswith("models.resnet20 does not fit here; `--model.divergence.help` lists what does.")


def test_report_without_a_known_cause_is_kept_whole():
    assert one_sentence("Errors:\n  - Subtypes: none") == "Errors: - Subtypes: none"


def report(*arguments):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--loss", type=DistillationLoss | None, enable_path=True)
    parser.add_argument("--optimizer", type=Callable[[list], torch.optim.Optimizer])
    with pytest.raises(jsonargparse.ArgumentError) as caught:
        parser.parse_args([*arguments])
    return str(caught.value)


REWORDED = f"jsonargparse {jsonargparse.__version__} words this differently: change lightning_abkd/cli/_report.py"


@pytest.mark.parametrize(
    ("pattern", "argument"),
    [
        (_report._KEY, "--loss=[1]"),
        (_report._CLASS, "--loss=nowhere.Loss"),
        (_report._CALLABLE, "--optimizer=torch.optim.Adamm"),
        (_report._CALLABLE, "--optimizer={class_path: torch.optim.Adam, init_args: {lrr: 1}}"),
        (_report._SHORT_NAME, "--loss=Nowhere"),
        (_report._NOWHERE, "--loss=lightning_abkd.losses.Nowhere"),
        (_report._NOWHERE, "--loss=lightning_abkd.no.where.Loss"),
        (_report._UNKNOWN_OPTION, "--loss={class_path: lightning_abkd.losses.DKD, init_args: {x: 1}}"),
        (_report._GIVEN, "--loss=[1]"),
    ],
)
def test_jsonargparse_words_its_reports_as_the_patterns_expect(pattern, argument):
    assert pattern.search(report(argument)), REWORDED


@pytest.mark.parametrize("phrase", [*_report._MISFITS, *_report._REPETITIONS])
def test_jsonargparse_begins_its_lines_as_expected(phrase):
    arguments = ("--loss=[1]", "--loss=Nowhere", "--loss=torch.nn.Linear", "--loss.alpha=1")
    lines = [line.lstrip(" -") for argument in arguments for line in report(argument).splitlines()]
    assert any(line.startswith(phrase) for line in lines), REWORDED


def test_options_of_a_class_include_those_that_it_forwards_to_its_base():
    class Loss(DKD):
        def __init__(self, extra: int, **options: float) -> None:
            super().__init__(**options)

    assert _report._parameters(Loss)[:2] == ["extra", *_report._parameters(DKD)][:2]
    assert _report._parameters(divmod) == ["x", "y"]
