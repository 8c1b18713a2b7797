"""Fuzz the spec reader: `python tests/fuzz/specs.py -runs=N CORPUS`."""

from start import start

start("specs")
