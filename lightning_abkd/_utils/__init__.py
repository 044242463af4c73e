"""Small helpers that every room uses, so that each is written once. Nothing here is public, and nothing loads torch.

Here: checks of arguments with one wording each, optional packages, files written whole, names imported on first use.
Not here: anything about losses, networks or training.
"""

from lightning_abkd._utils._arguments import (
    check_at_least,
    check_choice,
    check_finite,
    check_interval,
    check_positive,
    check_same_shape,
)
from lightning_abkd._utils._autograd import Context
from lightning_abkd._utils._extras import require
from lightning_abkd._utils._files import (
    part_of,
    remove,
    replace_whole,
    write_files_whole,
    write_whole,
    write_whole_by_one,
)
from lightning_abkd._utils._full_disks import full_disk
from lightning_abkd._utils._gguf import check_gguf_file
from lightning_abkd._utils._identity import digest
from lightning_abkd._utils._lazy import OLD_ADDRESSES, export_lazily, renamed_message, renamed_names
from lightning_abkd._utils._numbers import three_digits
from lightning_abkd._utils._old_files import forward_old_files
from lightning_abkd._utils._pickles import needed_code
from lightning_abkd._utils._places import Links, leads_out
from lightning_abkd._utils._pretrained import folder_or_hub, load_whole, reading_pretrained
from lightning_abkd._utils._rows import row_slices

__all__ = [
    "OLD_ADDRESSES",
    "Context",
    "Links",
    "check_at_least",
    "check_choice",
    "check_finite",
    "check_gguf_file",
    "check_interval",
    "check_positive",
    "check_same_shape",
    "digest",
    "export_lazily",
    "folder_or_hub",
    "forward_old_files",
    "full_disk",
    "leads_out",
    "load_whole",
    "needed_code",
    "part_of",
    "reading_pretrained",
    "remove",
    "renamed_message",
    "renamed_names",
    "replace_whole",
    "require",
    "row_slices",
    "three_digits",
    "write_files_whole",
    "write_whole",
    "write_whole_by_one",
]
