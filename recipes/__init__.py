"""Reproducible builds of Apache TVM: specs, locks, plans, and the store they are realised in."""

__version__ = "0.1.0"
