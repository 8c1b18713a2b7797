"""The workflows, as far as that can be without GitHub: read against its schema, and their commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gitserver
import pytest
import smallproject
import yaml
from gitserver import Repo
from smallproject import CLI, Small

ROOT = CLI.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

ORIGIN = ("--git-dir", "../origin.git")
SCHEMA = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows")

BOOTSTRAP = f"""\
#!/bin/sh
shift
exec {sys.executable} {CLI} "$@"
"""

GH = """\
#!/bin/sh
printf '%s\\n' "$*" >>"$GH_LOG"
case "$1 $2" in
"pr list") cat "$GH_LOG.open" ;;
"pr create") echo 1 >"$GH_LOG.open" ;;
esac
"""


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return found


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job["steps"]]


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "refresh-locks.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_github_would_read_it(path: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        str(path),
    ]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_schema_refuses_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("on: push\njobs: {a: {steps: [{rnu: echo}]}}\n")
    ran = subprocess.run([*SCHEMA, str(tmp_path / "a.yml")], capture_output=True, text=True, check=False)
    assert ran.returncode == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_named_by_commit(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[a-z-]+/[a-z-]+@[0-9a-f]{40}", one) for one in used)


def test_every_variant_is_built() -> None:
    built = jobs(ROOT / ".github/workflows/ci.yml")["build"]["strategy"]["matrix"]["variant"]
    assert built == sorted(path.stem for path in (ROOT / "environments").glob("*.yaml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_expression_is_in_a_command(path: Path) -> None:
    assert not [step["run"] for step in steps(path) if "${{" in step.get("run", "")]


# ---- run


@pytest.fixture
def runner(tmp_path: Path, fetched: Path) -> Iterator[Small]:
    """Give the small project as a clone of a repository on a runner, with what a runner has."""
    upstream = smallproject.upstream(tmp_path / "upstream")
    with smallproject.small(upstream, tmp_path) as made:
        made.warm(fetched)
        programs = {
            "bin/gh": GH,
            "bin/sudo": '#!/bin/sh\necho "sudo $*" >>"$GH_LOG"\n',
            "checkout/bootstrap": BOOTSTRAP,
        }
        for name, text in programs.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        (tmp_path / "gh.log.open").write_text("0\n")
        made.env |= {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "GH_LOG": str(tmp_path / "gh.log"),
            "RUNNER_TEMP": str(tmp_path),
        }
        made.write(".gitignore", "/result-*\n")
        git(made, "init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "origin.git"))
        git(made, "init", "--quiet", "--initial-branch=main")
        git(made, "remote", "add", "origin", str(tmp_path / "origin.git"))
        git(made, "add", ".")
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        git(made, *who, "commit", "--quiet", "--message", "the small project")
        git(made, "push", "--quiet", "origin", "main")
        yield made


def git(small: Small, *argv: str) -> str:
    return subprocess.check_output(["git", *argv], cwd=small.root, env=small.env, text=True).strip()


def workflow(small: Small, name: str, job: str, **matrix: str) -> None:
    """Run a job's commands as a runner does: one shell each, as long as all succeed."""
    output = small.place / "output"
    output.write_text("")
    for step in jobs(ROOT / ".github/workflows" / name)[job]["steps"]:
        wanted = step.get("if")
        if "run" not in step or (wanted and not holds(wanted, output.read_text())):
            continue
        given = {key: filled(value, matrix) for key, value in step.get("env", {}).items()}
        text = re.sub(r"--build \S+( --build \S+)*", "--build both", step["run"])  # the small project's
        subprocess.run(
            ["bash", "-eo", "pipefail", "-c", text],
            cwd=small.root, env=small.env | given | {"GITHUB_OUTPUT": str(output)}, check=True,
        )  # fmt: skip


def holds(wanted: str, output: str) -> bool:
    found = re.fullmatch(r"steps\.\w+\.outputs\.(\w+) == '(\w+)'", wanted)
    assert found, f"the test cannot judge `{wanted}`"
    return f"{found[1]}={found[2]}" in output.split()


def filled(value: str, matrix: dict[str, str]) -> str:
    known = {"github.token": "token", **{f"matrix.{key}": one for key, one in matrix.items()}}
    return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known[found[1]], value)


def log(small: Small) -> list[str]:
    path = small.place / "gh.log"
    return path.read_text().splitlines() if path.is_file() else []


@pytest.mark.sandbox
def test_ci(runner: Small) -> None:
    workflow(runner, "ci.yml", "locks")
    workflow(runner, "ci.yml", "build", variant="both")
    assert (runner.root / "result-both/lib/libapp.so").is_file()
    assert log(runner) == ["sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"]
    runner.edit("environments/both.yaml", "  app:", "  app: {ref: other}")
    with pytest.raises(subprocess.CalledProcessError) as raised:
        workflow(runner, "ci.yml", "locks")
    assert raised.value.returncode == 4


@pytest.mark.sandbox
@pytest.mark.slow  # the workflow runs three times
def test_a_refresh(runner: Small) -> None:
    workflow(runner, "refresh-locks.yml", "refresh")
    assert [line for line in log(runner) if not line.startswith("sudo")] == []
    for text, wanted in (("int app = 5;\n", "pr create"), ("int app = 6;\n", "pr edit")):
        commit = push(runner, text)
        workflow(runner, "refresh-locks.yml", "refresh")
        assert commit in git(
            runner, "--git-dir", "../origin.git", "show", "refresh-locks:locks/both.lock.yaml"
        )
        assert log(runner)[-1].startswith(wanted)
        told = (runner.place / "short.md").read_text()
        assert "## both\n\nBuilds and passes its check: `sha256-" in told
        git(runner, "switch", "--quiet", "main")
    files = git(runner, *ORIGIN, "diff", "--name-only", "main", "refresh-locks")
    assert files == "locks/both.lock.yaml"
    assert git(runner, *ORIGIN, "rev-list", "--count", "main..refresh-locks") == "1"


def push(small: Small, text: str) -> str:
    """Move the branch that `app` follows."""
    repository = Repo(small.upstream.repositories / "app")
    tree = {b"CMakeLists.txt": b"project(app)\n", b"app.c": text.encode()}
    commit = repository.commit(tree, small.upstream.commits["app"], when="1716900000 +0000")
    repository.ref("refs/heads/main", commit)
    return commit


# ---- what else comes with the project


def test_the_hook_of_pre_commit() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "recipes lock --check"
    files = re.compile(hook["files"])
    assert all(
        files.search(one) for one in ("environments/a.yaml", "locks/a.lock.yaml", "recipes/components/a")
    )
    assert not files.search("README.md")


def test_git_writes_locks_alike_everywhere(tmp_path: Path) -> None:
    argv = [
        "git",
        "check-attr",
        "eol",
        "linguist-generated",
        "--",
        "locks/a.lock.yaml",
        "environments/a.yaml",
    ]
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], env=gitserver.ENV, check=True)
    (tmp_path / ".gitattributes").write_text((ROOT / ".gitattributes").read_text())
    assert subprocess.check_output(argv, cwd=tmp_path, env=gitserver.ENV, text=True).splitlines() == [
        "locks/a.lock.yaml: eol: lf",
        "locks/a.lock.yaml: linguist-generated: true",
        "environments/a.yaml: eol: unspecified",
        "environments/a.yaml: linguist-generated: unspecified",
    ]
