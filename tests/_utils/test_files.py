import pytest

from lightning_abkd._utils import folder_or_hub, write_whole


def test_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    with write_whole(path) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_leaves_the_former_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with write_whole(path) as part:
            part.write_text("half of it")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["./gpt2", "/models/gpt2", "~/gpt2", "gpt2", "a/b/c"])
def test_path_that_leads_nowhere_is_named(path):
    with pytest.raises(FileNotFoundError, match="should be a folder or owner/name on the hub. Found no folder"):
        folder_or_hub(path)


def test_folder_and_name_on_the_hub_are_returned(tmp_path):
    assert folder_or_hub(str(tmp_path)) == str(tmp_path)
    assert folder_or_hub("HuggingFaceTB/SmolLM2-135M") == "HuggingFaceTB/SmolLM2-135M"
