from types import SimpleNamespace

from lightning_abkd.training._stage_names import stage_names


def named(*names):
    return SimpleNamespace(set_names=lambda stage: [f"{name} of {stage}" for name in names])


def test_a_single_set_is_named_by_its_stage():
    assert stage_names("val", None, 1) == stage_names("val", named(), 1) == ["val"]


def test_sets_are_named_by_the_data_module():
    assert stage_names("val", named("a"), 1) == ["val/a of validation"]
    assert stage_names("test", named("a", "b"), 2) == ["test/a of test", "test/b of test"]


def test_loaders_without_names_are_numbered():
    assert stage_names("test", named(), 2) == stage_names("test", None, 2) == ["test/0", "test/1"]
