import pytest

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.cli._help_request import with_classes

MODULE = "lightning_abkd.modules.DistillationModule"


def shown(capsys, *arguments):
    with pytest.raises(SystemExit):
        AbkdCLI(["fit", *arguments])
    out, err = capsys.readouterr()
    return out + err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("fit --model.divergence.help DKD", f"fit --model.help {MODULE} --model.divergence.help DKD"),
        ("fit --model.divergence.help=DKD", f"fit --model.help {MODULE} --model.divergence.help=DKD"),
        ("fit --model my.Own --model.student.help X", "fit --model.help my.Own --model.student.help X"),
        ("fit --data=my.Data --data.x.help X", "fit --data.help my.Data --data.x.help X"),
        (
            "fit --config config.yaml --data.x.help X",
            "fit --data.help lightning_abkd.data.DigitsDataModule --data.x.help X",
        ),
        (
            "fit --model.divergence DKD --model.divergence.divergence.help X",
            f"fit --model.help {MODULE} --model.divergence.help DKD --model.divergence.divergence.help X",
        ),
        ("fit --trainer.callbacks.help X", "fit --trainer.callbacks.help X"),
        (
            "fit --trainer.callbacks+ A --trainer.callbacks.x.help X",
            "fit --trainer.callbacks.help A --trainer.callbacks.x.help X",
        ),
        ("fit --model.help X", "fit --model.help X"),
        ("fit --config config.yaml", "fit --config config.yaml"),
    ],
)
def test_the_classes_above_an_option_may_be_left_out(typed, meant):
    assert with_classes(typed.split()) == meant.split()


def test_a_class_that_nobody_named_is_asked_for(capsys):
    assert "needs a class first: put `--data CLASS`" in shown(capsys, "--data.tokenizer.help")


def test_a_function_shows_its_options(capsys):
    text = shown(capsys, "--model.student.help", "resnet20")
    assert "Help for --model.student.help=lightning_abkd.models.resnet20" in text
    assert "  --model.student.num_classes\n" in text


def test_an_option_without_a_class_shows_which_it_takes(capsys):
    assert "DistillationModule, LanguageDistillationModule" in shown(capsys, "--model.help")


def test_a_wrong_class_has_a_close_one(capsys):
    assert "Did you mean lightning_abkd.losses.DKD?" in shown(capsys, "--model.divergence.help", "DKDD")
