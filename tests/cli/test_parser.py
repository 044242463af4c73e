from tests.cli._commands import refused


def test_an_error_comes_without_the_usage_of_every_option(capsys):
    assert refused(capsys, "--trainer.max_epochs", "many").startswith("abkd: trainer.max_epochs: ")
