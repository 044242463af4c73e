"""Writers on a full disk: what was there stays, and one sentence says what to do."""

from pathlib import Path

import pytest

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.cli._errors import readable_errors
from lightning_abkd.language.callbacks import SavePretrained
from lightning_abkd.language.callbacks._text_files import append_lines, write_text
from lightning_abkd.models import save_weights
from tests._processes import Rank
from tests.cli._commands import CONFIG
from tests.cluster._disks import fill, small_disk
from tests.language._text import instruction_data, language_module, network
from tests.training._training import trainer


def write_lines(folder):
    append_lines(folder / "a.jsonl", [{"index": 0, "text": "x" * 9000}])


def write_student(folder):
    save_weights(network(1), folder / "student.safetensors")


def write_folder(folder):
    run = trainer(folder, max_steps=1, callbacks=[SavePretrained(str(folder / "model"))])
    run.fit(language_module(), datamodule=instruction_data(folder.parent))


WRITERS = {"text": lambda folder: write_text(folder / "a.md", "x" * 9000), "lines": write_lines} | {
    "weights": write_student,
    "transformers": write_folder,
}


def on_a_full_disk(folder, name):
    """Write twice, the second time on a full disk; return what is said, and whether the files are as before."""
    disk = folder / "disk"
    small_disk(disk, 1 << 17)
    WRITERS[name](disk)
    before = contents(disk)
    fill(disk)
    said = ""
    try:
        WRITERS[name](disk)
    except OSError as error:
        said = str(error)
    after = contents(disk)
    return (
        said,
        all(after[path].startswith(content) for path, content in before.items()),
        sorted(after) == sorted(before),
    )


def contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "rest"}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_destroys_nothing_and_is_one_sentence(tmp_path, name):
    said, is_there, has_nothing_more = Rank(on_a_full_disk, (tmp_path, name)).result()
    assert said.startswith("The disk")
    assert said.endswith("Make room, or name another folder.")
    assert is_there
    assert has_nothing_more


def run_on_a_full_disk(folder):
    small_disk(folder / "disk", 1 << 17)
    (folder / "config.yaml").write_text(CONFIG)
    saved = folder / "disk" / "saved.yaml"
    words = ["fit", "--config", str(folder / "config.yaml"), "--trainer.default_root_dir", str(folder / "disk")]
    words += ["--trainer.logger=false", "--trainer.callbacks=null", "--trainer.fast_dev_run=false"]
    words += ["--trainer.enable_checkpointing=false", "--trainer.max_epochs=1"]
    AbkdCLI(words)
    saved = folder / "disk" / "config.yaml"
    before = saved.read_text()
    fill(folder / "disk")
    try:
        with readable_errors():
            AbkdCLI(words)
    finally:
        (folder / "same").write_text(str(saved.read_text() == before))


def test_the_saved_config_of_the_run_before_stays(tmp_path):
    output = Path(tmp_path, "output")
    assert Rank(run_on_a_full_disk, (tmp_path,), output=output).code() == 2
    assert "abkd: The disk" in output.read_text()
    assert (tmp_path / "same").read_text() == "True"
