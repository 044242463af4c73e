import subprocess
import sys

import pytest

import lightning_abkd
from lightning_abkd import callbacks, data, diagnostics, losses, models, modules

ROOMS = (callbacks, data, diagnostics, losses, models, modules)


def loaded_by(code):
    """Return which modules a fresh process has loaded after the code."""
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_neither_torch_nor_lightning():
    assert not loaded_by("import lightning_abkd; dir(lightning_abkd)") & {"torch", "lightning", "transformers"}


def test_a_loss_loads_no_lightning():
    assert not loaded_by("from lightning_abkd import AlphaBetaDivergence") & {"lightning", "transformers"}


def test_an_image_classifier_loads_neither_lightning_nor_transformers():
    assert not loaded_by("import lightning_abkd; lightning_abkd.models.resnet20") & {"lightning", "transformers"}


def test_what_images_need_loads_no_language_wing():
    names = ("callbacks.AlphaBetaScheduler", "modules.DistillationModule")
    loaded = loaded_by("; ".join(["import lightning_abkd", *(f"lightning_abkd.{name}" for name in names)]))
    assert "lightning_abkd.training" in loaded
    assert "lightning_abkd.language" not in loaded


@pytest.mark.parametrize("name", lightning_abkd.__all__)
def test_door_offers_what_a_room_offers(name):
    (room,) = (room for room in ROOMS if name in room.__all__)
    assert getattr(lightning_abkd, name) is getattr(room, name)


def test_names_and_rooms_are_completed():
    assert {"DistillationModule", "losses", "models", "__version__"} <= set(dir(lightning_abkd))
    assert {"resnet20", "causal_lm", "load_pretrained"} <= set(dir(models))


@pytest.mark.parametrize("room", [lightning_abkd, data, models, modules, callbacks])
def test_unknown_name_is_an_attribute_error(room):
    with pytest.raises(AttributeError, match=f"module '{room.__name__}' has no attribute 'Distilation'"):
        _ = room.Distilation


def test_star_import_brings_every_name():
    namespace = {}
    exec("from lightning_abkd.callbacks import *", namespace)
    assert set(callbacks.__all__) <= set(namespace)
