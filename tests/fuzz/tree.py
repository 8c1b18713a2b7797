"""Fuzz NAR and the writer of trees: `python tests/fuzz/tree.py -runs=N CORPUS`."""

from start import start

start("tree")
