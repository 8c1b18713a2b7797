"""The steps of a bisection: the ends, then what the search asks for, and a log that outlives a kill."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from recipes import files
from recipes.bisect import log as logs
from recipes.bisect import search, verdict
from recipes.bisect.budget import Spent
from recipes.bisect.judge import Judge
from recipes.bisect.log import Judgement, Log
from recipes.bisect.verdict import Course, Verdict
from recipes.errors import UnjudgedError, UsageError, VerifyError


@dataclass
class Bisection:
    """One under way: its log is written to `file` after each judgement, so that a rerun goes on from it.

    `width` commits are judged at once. Ends are judged `repeat` times.
    """

    judge: Judge
    course: Course
    log: Log
    file: Path
    width: int
    repeat: int

    def find(self) -> Verdict:
        """Judge the ends, then what lies between them, for as long as the budget allows it."""
        line, budget = self.course.line, self.judge.budget
        try:
            self._ends()
        except Spent as why:
            raise UnjudgedError(f"{why}, and the ends are not judged yet") from None
        spent = None
        try:
            while wanted := search.probes(self._left(), self.width):
                self._all([line[at].commit for at in wanted])
        except Spent as why:
            spent = str(why)
        return verdict.conclude(self.log, self.course, budget.builds, spent)

    def _left(self) -> search.Range:
        left = search.narrow(self.log.marks(self.course.line))
        count = len(left.unjudged)
        if count:
            steps = search.steps(count + 1, self.width)
            self._say(f"commits left to judge: {count}, in about {steps} step{'' if steps == 1 else 's'}")
        return left

    def _ends(self) -> None:
        good, bad = self.course.line[0].commit, self.course.line[-1].commit
        for batch in [[good], [bad]] if self.width == 1 else [[good, bad]]:
            fresh = [commit for commit in batch if commit not in self.log.found]
            self._all(fresh)
            for commit in fresh * (self.repeat - 1):
                self._steady(commit)
            if good in batch:
                self._is_good(good)
        self._is_bad(bad)

    def _is_good(self, commit: str) -> None:
        one = self.log.found[commit]
        if one.status == "skip":
            raise UsageError(f"the good commit {commit} of `{self.judge.source.name}` cannot be judged")
        if one.reason is not None:
            raise UsageError(
                f"the good commit {commit} of `{self.judge.source.name}` is bad\n  fails     {one.reason}",
                hint=f"`{self._again()} --good OLDER`",
            )

    def _is_bad(self, commit: str) -> None:
        one, head = self.log.found[commit], self.log.head
        if one.status == "skip":
            raise UsageError(f"the bad commit {commit} of `{head.source}` cannot be judged")
        if one.status == "good":
            raise UsageError(
                f"the bad commit {commit} of `{head.source}` is good: `{head.target}` of `{head.variant}` "
                "does not break",
                hint=f"`{self._again()} --bad NEWER`, or another judge: `--run COMMAND`",
            )

    def _again(self) -> str:
        head = self.log.head
        target = [] if self.judge.target is None else [head.target]
        return shlex.join(["recipes", "bisect", head.source, "--variant", head.variant, *target])

    def _steady(self, commit: str) -> None:
        first = self.log.found[commit]
        again = self.judge.judge(commit, lambda _path: None)
        alike = first.status == again.status and (
            first.reason is None or again.reason is None or first.reason.same(again.reason)
        )
        if not alike:
            self._forget(commit)
            raise VerifyError(
                f"the judge is not steady: commit {commit} of `{self.judge.source.name}` was judged twice"
                f"\n  first     {_said(first)}\n  then      {_said(again)}",
                hint="a judge must always say the same of one commit",
            )

    def _forget(self, commit: str) -> None:
        self._keep(Log(self.log.head, tuple(one for one in self.log.judged if one.commit != commit)))

    def _all(self, commits: Sequence[str]) -> None:
        """Judge commits side by side; what is judged is kept, also where another one raises."""
        wanted = [commit for commit in commits if commit not in self.log.found]
        if not wanted:
            return
        failed: list[BaseException] = []
        with ThreadPoolExecutor(self.width) as pool:
            futures = [pool.submit(self.judge.judge, commit, self.log.of_path) for commit in wanted]
            for future in as_completed(futures):
                self._take(future, failed)
        if failed:
            raise failed[0]

    def _take(self, future: Future[Judgement], failed: list[BaseException]) -> None:
        error = future.exception()
        if error is not None:
            failed.append(error)
            return
        one = future.result()
        self._keep(self.log.add(one))
        subject = next(step.subject for step in self.course.line if step.commit == one.commit)
        self._say(f"{one.commit[:12]} {_said(one)} ({subject})")

    def _keep(self, log: Log) -> None:
        self.log = log
        self.file.parent.mkdir(exist_ok=True)
        files.write_atomic(self.file, logs.render(log))

    def _say(self, text: str) -> None:
        self.judge.run.report.line(text)


def _said(one: Judgement) -> str:
    if one.reason is not None:
        return f"fails: {one.reason}"
    return "is good" if one.status == "good" else "is skipped"
