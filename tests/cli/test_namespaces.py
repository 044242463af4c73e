from jsonargparse import Namespace

from lightning_abkd.cli._namespaces import entries


def test_dicts_and_namespaces_have_entries_and_nothing_else_has():
    assert entries({"a": 1}) == {"a": 1}
    assert entries(Namespace(a=Namespace(b=1))) == {"a": Namespace(b=1)}
    assert entries(["a"]) == entries(None) == entries("a") == {}
