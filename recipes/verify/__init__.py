"""Verifying: build again in a world that differs, compare to the byte, look for what made a difference."""
