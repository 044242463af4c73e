import pytest

from lightning_abkd.cli._sweep_command import read_command, split_values


def read(*arguments):
    return read_command(["--config", "mine.yaml", *arguments])


def test_values_are_split_outside_of_brackets_and_quotes():
    assert split_values("1, 2") == ["1", "2"]
    assert split_values('[0.9, 0.95],{a: [1, 2]},"x,y"') == ["[0.9, 0.95]", "{a: [1, 2]}", '"x,y"']


@pytest.mark.parametrize(
    "numbers", [["--alpha", "-0.5", "1"], ["--alpha", "-0.5,1"], ["--alpha=-0.5,1"], ["--alpha", "-0.5,", "1"]]
)
def test_numbers_are_separated_by_spaces_or_commas(numbers):
    (alpha,) = read(*numbers).grid.dimensions
    assert alpha == ("model.divergence.alpha", "α", ("-0.5", "1.0"))


def test_names_are_short_where_they_differ():
    names = read("--over", "model.optimizer.lr=1", "--over", "model.a.x=1", "--over", "model.b.x=1").grid.names
    assert names == ["lr", "model.a.x", "model.b.x"]


def test_class_paths_may_be_written_with_init_args():
    (dimension,) = read("--over", "model.init_args.divergence.init_args.alpha=1,2").grid.dimensions
    assert dimension == ("model.divergence.alpha", "α", ("1.0", "2.0"))


def test_other_options_are_kept_and_seeds_are_read():
    request = read("--seeds", "0,1", "--trainer.max_epochs", "3")
    assert request.grid == ((), (0, 1))
    assert request.options == ("--trainer.max_epochs", "3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "A sweep should vary something"),
        (["--over", "a"], "form OPTION=VALUE,VALUE. Found 'a'"),
        (["--over", "a=1,,2"], "form OPTION=VALUE,VALUE"),
        (["--over", "a=1", "--over", "a=2"], "Found 'a' twice"),
        (["--alpha", "1", "--over", "model.divergence.alpha=2"], "Found 'model.divergence.alpha' twice"),
        (["--over", "a=1", "--a", "2"], "should be swept or set. Found both for 'a'"),
        (["--seeds", "1", "--seed_everything=2"], "Found both for 'seed_everything'"),
        (["--over", "model.divergence.alpha=null"], "α and β should be numbers. Found 'null'"),
        (["--over", "seed_everything=true"], "A seed should be a whole number that is not negative. Found 'true'"),
        (["--seeds", "1", "--trainer.logger", "false"], "A sweep sets 'trainer.logger'"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        read(*arguments)


def test_an_option_without_value_is_refused_in_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        read("--alpha", "x")
    assert capsys.readouterr().err == "abkd: sweep: argument --alpha: invalid float value: 'x'\n"
