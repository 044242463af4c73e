import errno
from pathlib import Path

from lightning_abkd._utils import full_disk


def caused(message):
    error = RuntimeError("unexpected pos")
    error.__context__ = message
    return error


def test_a_full_disk_is_found_below_other_errors(tmp_path):
    path = tmp_path / "a"
    for error in (
        OSError(errno.ENOSPC, "x"),
        caused(OSError(errno.EDQUOT, "x")),
        ValueError("No space left on device"),
        OSError("1000000 requested and 262112 written"),
    ):
        assert f"The disk is full: {path} needs more" in str(full_disk(error, path))
    assert "takes no file of this size" in str(full_disk(OSError(errno.EFBIG, "x"), path))


def test_other_errors_are_no_full_disk():
    assert full_disk(OSError(errno.EACCES, "no"), Path("/tmp/a")) is None
    assert full_disk(caused(ValueError("no")), Path("/tmp/a")) is None
