"""Fused implementations are about float32, whatever the default dtype of a run is."""

from pathlib import Path


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("float32")
