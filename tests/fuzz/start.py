"""Start a coverage-guided fuzzer on one of the targets of tests/fuzztargets.py; docs/fuzzing.md says how."""

import hashlib
import importlib
import re
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def start(target: str) -> None:
    """Run libFuzzer with the options and corpus directories of the command line; it ends the process."""
    atheris = importlib.import_module("atheris")
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    with atheris.instrument_imports(include=["recipes", "yaml", "tarfile", "zipfile", "packaging"]):
        targets = importlib.import_module("fuzztargets")
    seeds = targets.seeds(target)
    options = [option for place in sys.argv[1:] if not place.startswith("-") for option in _sow(place, seeds)]
    atheris.Setup([*sys.argv, *options], targets.TARGETS[target])
    atheris.Fuzz()


def _sow(place: str, seeds: list[bytes]) -> list[str]:
    """Put seeds into a corpus, and their words into a dictionary beside it; a file is tried as it is."""
    corpus = Path(place)
    if corpus.is_file():
        return []
    corpus.mkdir(exist_ok=True)
    for seed in seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words = {word.decode() for seed in seeds for word in re.findall(rb"[A-Za-z0-9_-]{2,40}:?", seed)}
    dictionary = corpus.with_suffix(".dict")
    dictionary.write_text("".join(f'"{word}"\n' for word in sorted(words)))
    return [f"-dict={dictionary}"]
