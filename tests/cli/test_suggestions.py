import pytest

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.cli._suggestions import suggestion
from tests.cli._commands import CONFIG, refused

OPTIONS = ["config", "model", "data", "trainer.max_epochs", "trainer.callbacks", "seed_everything"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--tariner.max_epochs 3", "`--tariner.max_epochs`. Did you mean `--trainer.max_epochs`?"),
        ("--epochs=3", "`--epochs`. Did you mean `--trainer.max_epochs`?"),
        ("--batch_size 3", "`--batch_size`. Did you mean `--data.batch_size`?"),
        ("--xyz", "`--xyz`. `abkd fit --help` lists the options."),
        ("--data.x.y.help A", "`--data.x.y.help`. Put `--data.x CLASS` of the class that has it before it."),
    ],
)
def test_an_unknown_option_has_a_close_one(typed, meant):
    assert suggestion(f"unrecognized arguments: {typed}", OPTIONS) == f"Found no option {meant}"


@pytest.mark.parametrize(
    ("typed", "hint"), [("foo", "Options begin with two dashes."), ("trainer.x=3", "Did you mean `--trainer.x=3`?")]
)
def test_a_word_without_dashes_is_named(typed, hint):
    found = suggestion(f"unrecognized arguments: {typed}", OPTIONS)
    assert found == f"Found {typed!r}, which belongs to no option. {hint}"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("dato.init_args.x", "`dato`. Did you mean `data`?"),
        ("callbacks", "`callbacks`. Did you mean `trainer.callbacks`?"),
        ("trainer.max_epoch", "`trainer.max_epoch`. Did you mean `trainer.max_epochs`?"),
    ],
)
def test_an_unknown_key_has_a_close_one(key, meant):
    assert suggestion(f"Subcommand 'fit' does not accept option '{key}'", OPTIONS) == f"Found no key {meant}"


def test_a_report_about_a_value_is_left_alone():
    assert suggestion('Parser key "model": Expected a', OPTIONS) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--trainer.max_epoch", "1"], "Found no option `--trainer.max_epoch`. Did you mean `--trainer.max_epochs`?"),
        (["mine.yaml"], "Found 'mine.yaml', which belongs to no option."),
        (["--seed_everything"], "Option `--seed_everything` needs a value."),
        (["--data=InstructionDataModule", "--data.tokenizer.help=x"], "this option lists no classes; `abkd show NAME`"),
    ],
)
def test_the_parser_still_words_its_reports_so(capsys, options, sentence):
    assert sentence in refused(capsys, *options)


@pytest.mark.parametrize(("right", "wrong"), [("data:\n", "dato:\n"), ("  max_epochs", "  max_epoch")])
def test_a_wrong_key_of_a_config_has_a_close_one(folder, capsys, right, wrong):
    (folder / "config.yaml").write_text(CONFIG.replace(right, wrong))
    assert refused(capsys).endswith(f"Did you mean `{'data' if 'dat' in right else 'trainer.max_epochs'}`?")


def test_a_missing_model_says_where_to_begin(capsys):
    with pytest.raises(SystemExit, match="2"):
        AbkdCLI(["fit"])
    assert "Found no `model`. Give `--config FILE`" in capsys.readouterr().err
