"""Fuzz the reader of source locks: `python tests/fuzz/lock.py -runs=N CORPUS`."""

from start import start

start("lock")
