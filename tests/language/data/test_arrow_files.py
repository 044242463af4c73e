import pytest

from lightning_abkd.language.data._arrow_files import read_folder
from lightning_abkd.language.data._record_files import read_rows

ROW = {"instruction": "Add.", "output": "3"}


@pytest.fixture
def pyarrow():
    return pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra 'language'")


def test_arrow_files_and_streams_give_the_same_rows(tmp_path, pyarrow):
    table = pyarrow.Table.from_pylist([ROW])
    for name, new in (("file.arrow", pyarrow.ipc.new_file), ("stream.arrow", pyarrow.ipc.new_stream)):
        with new(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
        assert read_rows(tmp_path / name) == [ROW]


def test_nulls_inside_of_an_arrow_column_are_what_a_row_lacked(tmp_path, pyarrow):
    rows = [{"text": None, "tools": [{"a": 1}]}, {"text": "x", "tools": [{"b": {"c": 2}}]}]
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path := tmp_path / "a.parquet")
    assert read_rows(path) == rows


@pytest.mark.parametrize(("name", "kind"), [("a.parquet", "a parquet file"), ("a.arrow", "an Arrow file")])
def test_broken_binary_files_are_named(tmp_path, pyarrow, name, kind):
    (path := tmp_path / name).write_bytes(b"PAR1 broken")
    with pytest.raises(ValueError, match=f"{name} should be {kind}. Found a broken one: "):
        read_rows(path)


def test_a_saved_data_set_gives_its_rows_whatever_its_format(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs datasets, of the extra 'language'")
    datasets.disable_progress_bars()
    datasets.Dataset.from_list([ROW]).with_format("numpy").save_to_disk(tmp_path)
    assert read_folder(tmp_path) == [ROW]
