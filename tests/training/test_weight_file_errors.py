import pickle
from pathlib import Path

import pytest
import torch

from lightning_abkd.training._weight_file_errors import harmless_classes, no_such_file, unreadable


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of Git LFS: run `git lfs pull`"),
        (b"\n<!doctype html><html>", "web page"),
        (b"GGUF\x03\x00", "GGUF file: `causal_lm` reads it"),
        (b"\x93NUMPY\x01", "an array of numpy"),
        (b"\x89HDF\r\n", "HDF5 file of Keras"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, start, kind):
    (path := tmp_path / "model.safetensors").write_bytes(start)
    assert kind in unreadable(path, ValueError("header too large"))


def test_anything_else_may_be_cut_off(tmp_path):
    (path := tmp_path / "model.pt").write_bytes(b"PK")
    assert "model.pt of 2 bytes, which could not be read (EOFError: it ends too early)" in unreadable(path, EOFError())


def test_nobody_is_told_to_run_the_code_in_a_file(tmp_path):
    (path := tmp_path / "model.onnx").write_bytes(b"\x08\x07\x12\x07pytorch" + bytes(99))
    with pytest.raises(pickle.UnpicklingError) as caught:
        torch.load(path, weights_only=True)
    assert "(UnpicklingError: Weights only load failed). It may be cut off, or of another" in unreadable(
        path, caught.value
    )


def test_the_current_folder_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"In {tmp_path} there are no weights." in no_such_file(Path("teacher.pt"))
    (tmp_path / "other.bin").touch()
    assert f"In {tmp_path} there is: other.bin." in no_such_file(Path("teacher.pt"))


def test_a_missing_folder_is_named(tmp_path):
    assert f"There is no folder {tmp_path / 'runs'} either." in no_such_file(tmp_path / "runs" / "teacher.pt")


def test_harmless_classes_are_no_builtins():
    names = {entry[1] if isinstance(entry, tuple) else entry.__name__ for entry in harmless_classes()}
    assert {"Namespace", "dtype", "numpy._core.multiarray.scalar"} <= names
    assert not {"eval", "exec", "getattr", "system"} & names
