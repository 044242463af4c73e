import logging
import os
import sys
from importlib.util import find_spec

import pytest
import torch

from tests._plugins import Extras, Precision

# Triton reads this when it is imported, which happens with the first kernel: without a GPU kernels are interpreted.
if os.environ.get("ABKD_TEST_DEVICE", "cpu") == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"

# ABKD_TEST_DTYPE=float64 finds what takes float32 for granted.
torch.set_default_dtype(getattr(torch, os.environ.get("ABKD_TEST_DTYPE", "float32")))

# After the first backward pass autograd looks for devices no more. If it found what torch.compile registers, it would
# start threads, and no test of this process could fork.
torch.zeros((), requires_grad=True).backward()

# Lightning's command line calls what jsonargparse has renamed since.
os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"

# Lightning and torch say these of themselves; nothing a user of the library could change.
HARMLESS = (
    "ignore:.*does not have many workers.*",
    "ignore:.*LeafSpec.*:FutureWarning",
    "ignore:.*LeafSpec.*:DeprecationWarning",
    "ignore:The number of training batches .* is smaller than the logging interval",
    "ignore:Checkpoint directory .* exists and is not empty",
    "ignore:`trainer.fit` .* no `val_dataloader`",
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
    "ignore:You defined a `validation_step` but have no `val_dataloader`",
    "ignore:Starting from v1.9.0, `tensorboardX` has been removed",
    "ignore:Guards may run slower on Python 3.13.0",
)


def pytest_configure(config):
    config.pluginmanager.register(Precision())
    config.pluginmanager.register(Extras())
    if find_spec("triton") is None:
        # Its examples cannot even be looked for; the tests of kernels are skipped by themselves.
        config.option.ignore_glob = [*(config.option.ignore_glob or []), "*/_alpha_beta*triton.py"]
    for line in HARMLESS:
        config.addinivalue_line("filterwarnings", line)


def hear_lightning():
    """Let Lightning's messages reach every test, whatever an earlier one has left.

    Lightning keeps them from pytest if it is imported before pytest listens, and runs of commands make it quiet.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "lightning":
            logger = logging.getLogger(name)
            logger.propagate = True
            logger.disabled = False
            logger.setLevel(logging.INFO)
    if "lightning.fabric.utilities.rank_zero" in sys.modules:
        sys.modules["lightning.fabric.utilities.rank_zero"].rank_zero_only.rank = 0


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)
    hear_lightning()
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


# What Lightning wraps while a data module builds its loaders.
LOADERS = [(kind, dict(vars(kind))) for kind in (torch.utils.data.DataLoader, torch.utils.data.BatchSampler)]
WRAPPED = ("__init__", "__setattr__", "__delattr__")


@pytest.fixture(autouse=True)
def loaders_are_unwrapped():
    yield
    # Lightning 2.6 leaves its wrappers there if building a loader raises an error.
    for kind, plain in LOADERS:
        for name in WRAPPED:
            if f"__old{name}" in vars(kind):
                delattr(kind, f"__old{name}")
            if name in plain:
                setattr(kind, name, plain[name])
            elif name in vars(kind):
                delattr(kind, name)
