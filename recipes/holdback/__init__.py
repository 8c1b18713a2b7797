"""Refresh that holds back: takes what moved as far as it still builds, and says what it left and why."""
