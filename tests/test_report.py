import io
import sys
import threading

import pytest

from recipes import report as reports
from recipes.errors import LockError
from recipes.report import NORMAL, QUIET, VERBOSE, Report

Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def say(report: Report) -> None:
    report.result("result")
    report.line("line")
    report.detail("detail")
    report.warning("warning")
    report.error(LockError("message\n  expected  a", hint="`b`"))


ALWAYS = "warning: warning\nerror: message\n  expected  a\n\nhint: `b`\n"


@pytest.mark.parametrize(
    ("level", "said"),
    [(QUIET, ALWAYS), (NORMAL, f"line\n{ALWAYS}"), (VERBOSE, f"line\ndetail\n{ALWAYS}")],
)
def test_results_are_apart_from_what_is_said_of_them(level: int, said: str, capsys: Capture) -> None:
    say(Report(level))
    assert capsys.readouterr() == ("result\n", said)


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("a → b", "utf-8", "a → b"),
        ("a → b", "ascii", "a \\u2192 b"),
        ("é → b", "latin-1", "é \\u2192 b"),
        ("bad \udcff name", "utf-8", "bad \\udcff name"),
    ],
)
def test_what_the_terminal_cannot_show_is_escaped(
    text: str, encoding: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding=encoding))
    Report().result(text)
    Report().line(text)
    assert out.getvalue() == err.getvalue() == f"{written}\n".encode(encoding)


def test_a_short_piece_of_work_is_one_line(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "_MOMENT", 1e9)
    with Report().task("fetching tvm", "bytes") as task:
        task(1, 2)
        task.note("a note")
    assert capsys.readouterr() == ("", "fetching tvm\n")


def test_a_long_piece_of_work_says_how_far_it_is_and_that_it_has_ended(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_MOMENT", 0)
    monkeypatch.setattr(reports, "_EVERY", 0)
    monkeypatch.setattr(reports, "_clock", lambda _: "1:05")
    with Report().task("fetching tvm", "bytes") as task:
        task(1_000_000)
        task(2_000_000, 4_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "fetching tvm",
        "fetching tvm: 1.0 MB, 1:05 so far",
        "fetching tvm: 2.0 MB of 4.0 MB, 1:05 so far",
        "fetching tvm: done in 1:05",
    ]


def test_nothing_is_said_of_an_end_that_was_none(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "_MOMENT", 0)
    with pytest.raises(LockError), Report().task("locking"):
        raise LockError("a")
    assert capsys.readouterr().err == "locking\n"


@pytest.mark.parametrize(("level", "said"), [(QUIET, ""), (VERBOSE, "locking\na note\n")])
def test_work_at_other_levels(
    level: int, said: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_MOMENT", 1e9)
    with Report(level).task("locking", "sources") as task:
        task(1, 2)
        task.note("a note")
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("done", "total", "unit", "far"),
    [
        (0, None, "bytes", "0.0 MB"),
        (1_540_000, 3_000_000, "bytes", "1.5 MB of 3.0 MB"),
        (3, None, "files", "3 files"),
        (3, 7, "files", "3 of 7 files"),
        (3, 7, "", "3 of 7"),
        (3, None, "", "3"),
    ],
)
def test_how_far(done: int, total: int | None, unit: str, far: str) -> None:
    assert reports._far(done, total, unit) == far


@pytest.mark.parametrize(("seconds", "shown"), [(0.9, "0:00"), (9, "0:09"), (61.5, "1:01"), (4000, "66:40")])
def test_the_clock(seconds: float, shown: str) -> None:
    assert reports._clock(seconds) == shown


def test_on_a_terminal_work_is_shown_in_place_and_then_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(reports, "_MOMENT", 1e9)
    report = Report()
    with report.task("fetching tvm", "files") as task, report.task("fetching fp16") as other:
        task(3, 7)
        other(1)
        task.note("not shown")
        report.line("[bold]a line, however long it is: " + "x" * 200)
    shown = terminal.getvalue()
    assert "fetching tvm" in shown
    assert "[bold]a line, however long it is: " + "x" * 200 + "\n" in shown
    assert "not shown" not in shown
    assert "fetching" not in shown.rpartition("\x1b[2K")[2]
    assert report._progress is None
    report.line("after")
    assert terminal.getvalue() == shown + "after\n"


def test_on_a_terminal_long_work_leaves_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(reports, "_MOMENT", 0)
    monkeypatch.setattr(reports, "_clock", lambda _: "1:05")
    with Report().task("fetching tvm", "files"):
        pass
    assert "fetching tvm: done in 1:05\n" in terminal.getvalue()


def test_on_a_terminal_work_that_fails_is_cleared_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    report = Report()
    with pytest.raises(LockError), report.task("locking"):
        raise LockError("a")
    assert report._progress is None
    assert "done" not in terminal.getvalue()


def test_threads_do_not_mix_their_lines(capsys: Capture) -> None:
    report = Report()

    def say_often(word: str) -> None:
        for _ in range(50):
            report.line(word * 50)

    threads = [threading.Thread(target=say_often, args=[word]) for word in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = capsys.readouterr().err.splitlines()
    assert sorted(lines) == sorted(word * 50 for word in "abcd" for _ in range(50))
