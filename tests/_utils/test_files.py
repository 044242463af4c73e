import pytest

from lightning_abkd._utils import write_whole, write_whole_by_one


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
        with write_whole_by_one(path) as part:
            if content is None:
                part.mkdir()
                (part / "shard").write_text("shard")
            else:
                part.write_text(content)
        assert path.is_dir() == (content is None)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
