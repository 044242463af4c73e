import runpy
import sys

import lightning_abkd


def test_the_package_runs_as_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["abkd", "--version"])
    runpy.run_module("lightning_abkd", run_name="__main__")
    assert capsys.readouterr().out == f"lightning_abkd {lightning_abkd.__version__}\n"
