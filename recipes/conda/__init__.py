"""Conda environments: what a spec asks for, its lock in conda-lock's format, and how that is made."""
