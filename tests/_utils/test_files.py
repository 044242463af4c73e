import pytest

from lightning_abkd._utils import write_whole


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
