from lightning_abkd.cli._similar import did_you_mean_file


def test_a_file_beside_is_meant(tmp_path):
    (tmp_path / "train.jsonl").touch()
    assert did_you_mean_file(str(tmp_path / "trian.jsonl")) == f"Did you mean {tmp_path / 'train.jsonl'}?"
    assert did_you_mean_file(str(tmp_path / "trian.jsonl"), "*.yaml") == ""


def test_a_missing_folder_has_no_files(tmp_path):
    assert did_you_mean_file(str(tmp_path / "nowhere" / "a.yaml")) == ""
