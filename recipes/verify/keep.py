"""Keep both outputs of a derivation that differ, with a report, in a directory of the checkout."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import files, process, treewriter
from recipes.report import Report
from recipes.verify.outcome import Outcome, text

_PATIENCE = 300  # seconds that diffoscope may take


@dataclass(frozen=True)
class Kept:
    """A directory with one directory a store path: `first`, `second` (read-only), `log`, `report.txt`.

    `env` is for diffoscope, which writes its own report beside them where it is installed.
    """

    top: Path
    env: Mapping[str, str]
    report: Report

    def keep(self, outcome: Outcome, first: Path, second: Path, log: Path) -> Path:
        """Keep copies of both outputs, in place of what was kept of this store path before."""
        place = self.top / outcome.name
        self.top.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=self.top))
        try:
            self._fill(new, outcome, first, second, log)
            files.remove(place)
            new.chmod(0o755)
            new.rename(place)
        except BaseException:
            files.remove(new)
            raise
        return place

    def _fill(self, place: Path, outcome: Outcome, first: Path, second: Path, log: Path) -> None:
        for name, tree in {"first": first, "second": second, "log": log}.items():
            if tree.exists():
                treewriter.copy_tree(tree, place / name)
                files.make_read_only(place / name)
        if not outcome.same:
            lines = "\n".join(text(outcome))
            (place / "report.txt").write_text(f"{lines}\n", "utf-8", "backslashreplace")
            self._diffoscope(place)

    def _diffoscope(self, place: Path) -> None:
        if shutil.which("diffoscope", path=self.env.get("PATH", "")) is None:
            self.report.line("diffoscope is not installed: it would add a report of its own")
            return
        argv = ["diffoscope", "--text", "diffoscope.txt", "--html", "diffoscope.html", "first", "second"]
        try:
            with self.report.task("diffoscope"):
                ended = process.run(argv, env=self.env, cwd=place, timeout=_PATIENCE)
        except process.Timeout:
            self.report.warning(f"diffoscope took longer than {_PATIENCE} s and was ended")
        else:
            if ended.code not in (0, 1):  # 1: there are differences
                self.report.warning(f"diffoscope failed: exit code {ended.code}")
