"""Inputs of any source tree that are not pinned: readers of its build files, and what is told of them."""
