"""Fuzz the archive reader and the writer of trees: `python tests/fuzz/archive.py -runs=N CORPUS`."""

from start import start

start("archive")
