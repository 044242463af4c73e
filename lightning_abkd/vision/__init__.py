"""The vision wing: image classifiers, from files to networks.

Here: `data` (image data modules), `models` (networks), and the modules of special tasks. Not here: language.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.vision._base_to_new import BaseToNewModule as BaseToNewModule
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.vision._base_to_new": ["BaseToNewModule"],
        },
    )
