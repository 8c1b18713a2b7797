"""Fuzz the reader of toolchain locks: `python tests/fuzz/wheels.py -runs=N CORPUS`."""

from start import start

start("wheels")
