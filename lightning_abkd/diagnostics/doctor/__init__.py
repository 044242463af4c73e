"""The doctor: what is wrong with a training, found by a few real steps before it costs time.

Here: checks, each a small function that returns a finding. Not here: how a table is written (`lightning_abkd.cli`).
"""

from lightning_abkd.diagnostics.doctor._check import check, examined
from lightning_abkd.diagnostics.doctor._errors import from_error
from lightning_abkd.diagnostics.doctor._finding import Finding, State

__all__ = ["Finding", "State", "check", "examined", "from_error"]
