import pytest

from lightning_abkd._utils import folder_or_hub, load_whole, reading_pretrained


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


def test_random_weights_are_refused_and_named():
    with pytest.raises(ValueError, match=r"all weights of a model. Found 4 missing \(a, b, c, …\)"):
        load_whole(lambda path, output_loading_info: (None, {"missing_keys": set("badc")}), "my/model", "a model")
