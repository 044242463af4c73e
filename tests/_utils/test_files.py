import pytest

from lightning_abkd._utils import folder_or_hub, reading_pretrained, write_whole


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


def fails(error, path):
    with reading_pretrained(path, "a model"):
        raise error


def test_a_name_out_of_reach_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"Found no folder 'my/model' in /.*no such name in reach \(Offline\.\)"
    ):
        fails(OSError("Offline.\nA page of advice."), "my/model")


def test_a_broken_folder_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"should lead to a model. Found .* cannot be read \(OSError: No weights\.\)"):
        fails(OSError("No weights."), str(tmp_path))


@pytest.mark.parametrize("error", [ImportError("no gguf"), MemoryError()])
def test_missing_packages_and_memory_are_other_errors(error):
    with pytest.raises(type(error)):
        fails(error, "my/model")
