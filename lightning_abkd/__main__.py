"""`python -m lightning_abkd` is the command `abkd`."""

from lightning_abkd.cli import main

main()
