import struct

import numpy as np
import pytest

from lightning_abkd._utils import check_gguf_file

gguf = pytest.importorskip("gguf")
ALIGNED = b"general.alignment" + struct.pack("<II", 4, 64)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "x.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(64)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc"])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5])
    writer.add_bool("flag", True)
    writer.add_tensor("first", np.ones((2, 32), dtype=np.float32))
    writer.add_tensor("second", np.ones((1, 34), dtype=np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def check(folder, content, name="x.gguf"):
    (folder / "x.gguf").write_bytes(content)
    check_gguf_file(str(folder), name)


def replaced(content, at, value, form="<Q"):
    return content[:at] + struct.pack(form, value) + content[at + struct.calcsize(form) :]


def test_a_whole_file_passes(tmp_path, whole):
    assert ALIGNED in whole
    check(tmp_path, whole)
    check_gguf_file(str(tmp_path), None)


def test_a_file_of_the_other_byte_order_passes(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama", endianess=gguf.GGUFEndian.BIG)
    writer.add_tensor("first", np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    check_gguf_file(str(tmp_path), "x.gguf")


def test_a_file_cut_anywhere_is_one_sentence(tmp_path, whole):
    begin = whole.index(b"second") + 100
    # What follows the last tensor only fills up.
    for length in (1, 3, 4, 7, 12, 23, 24, *range(25, begin, 7), begin + 64, len(whole) - 64):
        with pytest.raises(ValueError, match=r"should be a whole GGUF file. Found .*copy it again"):
            check(tmp_path, whole[:length])


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (lambda x: b"GGML" + x[4:], "it does not begin with GGUF"),
        (lambda x: replaced(x, 4, 99, "<I"), "its version is 99"),
        (lambda x: replaced(x, 8, 2**60), f"it says that it holds {2**60} tensors"),
        (lambda x: replaced(x, 16, 2**63), f"it says that it holds {2**63} entries"),
        (lambda x: replaced(x, 24, 2**62), f"it says that {2**62} bytes follow byte 32"),
        (lambda x: replaced(x, x.index(b"tokens") + 14, 2**50), f"it says that it holds {2**50} texts"),
        (lambda x: replaced(x, x.index(b"scores") + 14, 2**62), "bytes follow byte"),
        (lambda x: replaced(x, x.index(b"flag") + 4, 77, "<I"), "a value of the unknown type 77"),
        (lambda x: replaced(x, x.index(ALIGNED) + 21, 63, "<I"), "aligned to 63 bytes"),
        (lambda x: replaced(x, x.index(b"first") + 5, 9, "<I"), "its tensor 'first' has 9 dimensions"),
        (lambda x: replaced(x, x.index(b"first") + 9, 2**61), "its tensors end at byte"),
        (lambda x: replaced(x, x.index(b"first") + 25, 999, "<I"), "its tensor 'first' is of the unknown type 999"),
        (lambda x: replaced(x, x.index(b"second") + 26, 2**40), "its tensors end at byte"),
        (lambda x: b"", "empty"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, whole, broken, found):
    with pytest.raises(ValueError, match=found):
        check(tmp_path, broken(whole))


@pytest.mark.parametrize("name", ["../x.gguf", "y.gguf"])
def test_only_a_file_of_the_folder_is_read(tmp_path, whole, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.gguf").write_bytes(whole)
    with pytest.raises(FileNotFoundError, match=f"should be a file in .*folder. Found none named '{name}'"):
        check_gguf_file(str(tmp_path / "folder"), name)
