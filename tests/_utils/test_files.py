import pytest

from lightning_abkd._utils import write_files_whole, write_whole, write_whole_by_one


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


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    path = tmp_path / "hpc_ckpt_1.ckpt"
    with write_whole_by_one(path) as part:
        part.write_text("left")
        left = part
    left.write_text("left")
    assert "hpc" not in left.name
    with write_whole_by_one(path) as part:
        part.write_text("new")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["new"]


def test_folders_and_files_take_the_place_of_each_other(tmp_path):
    path = tmp_path / "a"
    for content in ("first", None, None, "last"):
        with write_whole_by_one(path, over_folder=True) as part:
            if content is None:
                part.mkdir()
                (part / "shard").write_text("shard")
            else:
                part.write_text(content)
        assert path.is_dir() == (content is None)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_folder_is_not_lost_to_a_file(tmp_path):
    (folder := tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError, match="should be a file"), write_whole(folder) as part:
        part.write_text("new")
    assert list(tmp_path.iterdir()) == [folder]


def test_files_of_a_folder_are_replaced_together_and_others_stay(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("weights", "other"):
        (folder / name).write_text("old")
    with write_files_whole(folder) as part:
        (part / "sub").mkdir()
        (part / "sub" / "code").write_text("new")
        (part / "weights").write_text("new")
        assert (folder / "weights").read_text() == "old"
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {"weights": "new", "other": "old", "sub/code": "new"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_leaves_the_files_of_a_folder(tmp_path):
    (tmp_path / "weights").write_text("old")

    def fail():
        with write_files_whole(tmp_path) as part:
            (part / "weights").write_text("half of it")
            raise RuntimeError("Error: No space left on device (os error 28)")

    with pytest.raises(OSError, match="The disk is full: .*What was there before is as it was"):
        fail()
    assert (tmp_path / "weights").read_text() == "old"
