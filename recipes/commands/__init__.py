"""The commands, by what they work on: each parses, makes one call, and prints what came of it.

Imports that cost time are made inside commands, so that `recipes --help` and completion stay quick.
"""
