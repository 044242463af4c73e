import pytest

from tests.cli._commands import CONFIG, run

pytestmark = pytest.mark.float32


@pytest.mark.filterwarnings("ignore:.*logger.*")
def test_a_config_that_the_command_was_given_is_not_written_over(folder):
    run("fit", "--trainer.max_epochs", "1", "--trainer.logger", "false")
    assert (folder / "config.yaml").read_text() == CONFIG
    assert "max_epochs: 1\n" in (folder / "config.saved.yaml").read_text()


def test_the_config_lies_beside_the_logs(folder):
    run("fit", "--trainer.max_epochs", "1")
    assert (folder / "logs" / "version_0" / "config.yaml").is_file()
    assert not (folder / "config.saved.yaml").exists()
