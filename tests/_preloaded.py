"""Imported once by the server that test processes are forked from, see `_processes`."""

import lightning.pytorch
import lightning.pytorch.cli
import lightning.pytorch.strategies  # noqa: F401
import torchmetrics  # noqa: F401
import torchvision  # noqa: F401
import transformers  # noqa: F401

import lightning_abkd.callbacks
import lightning_abkd.data
import lightning_abkd.modules  # noqa: F401
