"""The install script and the Dockerfile: run in a shell against local repositories, and linted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from smallproject import PATIENCE, Ran, Small

from recipes.errors import UsageError
from recipes.export import dockerfile
from recipes.export.installscript import Listing, _origin
from recipes.export.listing import listing
from recipes.export.prelude import PRELUDE
from recipes.origins import DebianOrigin
from recipes.plan import SourceTree
from recipes.tree import Filter

DIGEST = re.search(r"^digest\(\) \{.*?^\}\n", PRELUDE, re.MULTILINE | re.DOTALL)
IMAGE = f"registry.example/image:1@sha256:{'0' * 64}"


def shell(text: str, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "LC_ALL": "C", **env}
    return subprocess.run(
        ["sh", "-euc", text, "sh", *argv], capture_output=True, text=True, env=variables, check=False
    )


# ---- listings


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    place = tmp_path / "tree"
    (place / "empty").mkdir(parents=True)
    (place / "a dir").mkdir()
    (place / "a dir/-n").write_text("one\n")
    (place / "B").write_text("two")
    (place / "a").write_text("")
    (place / "run").write_text("#!/bin/sh\n")
    (place / "run").chmod(0o755)
    (place / "link").symlink_to("nowhere/at all")
    (place / "to-dir").symlink_to("a dir")
    return place


def test_a_shell_gives_the_same_digest(tree: Path) -> None:
    assert DIGEST
    ran = shell(f'{DIGEST[0]}digest "$1"', str(tree))
    assert (ran.stdout.strip(), ran.stderr) == (listing(tree).digest, "")


def test_what_is_in_a_listing(tree: Path) -> None:
    assert listing(tree).entries == (
        ("644", "B"),
        ("644", "a"),
        ("644", "a dir/-n"),
        ("link", "link"),
        ("755", "run"),
        ("link", "to-dir"),
    )


def change_bytes(tree: Path) -> None:
    (tree / "B").write_text("twO")


def change_name(tree: Path) -> None:
    (tree / "B").rename(tree / "b")


def change_mode(tree: Path) -> None:
    (tree / "B").chmod(0o755)


def change_link(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("elsewhere")


def add_file(tree: Path) -> None:
    (tree / "empty/new").touch()


@pytest.mark.parametrize("change", [change_bytes, change_name, change_mode, change_link, add_file])
def test_a_listing_sees_each_change(tree: Path, change: object) -> None:
    before = listing(tree).digest
    assert callable(change)
    change(tree)
    assert listing(tree).digest != before


@pytest.mark.parametrize("name", ["new\nline", "back\\slash", " space", "space ", "ä", "tab\there"])
def test_a_name_that_lines_cannot_hold(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UsageError) as raised:
        listing(tmp_path)
    assert raised.value.message == (f"a shell script cannot name a file that is in {tmp_path.name}: {name!a}")


def test_a_listing_of_nothing(tmp_path: Path) -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert listing(tmp_path) == Listing(empty, ())


# ---- the script


@pytest.fixture
def namespaces() -> None:
    probe = shell("unshare --user --map-root-user --mount true")
    if probe.returncode:
        pytest.skip(f"no mount namespace can be made here: {probe.stderr.strip()}")


def install(small: Small, script: Path, prefix: str = "out") -> Ran:
    """Run a script in an empty directory, with the small project's servers in place of the world's."""
    place = small.place / "empty"
    place.mkdir(exist_ok=True)
    rules = "".join(
        f'[url "{small.git.url}/"]\n\tinsteadOf = https://{host}.example/\n' for host in ("git", "other")
    )
    (small.place / "gitconfig").write_text(rules)
    ended = subprocess.run(
        ["sh", str(script), prefix],
        cwd=place,
        env=small.env | {"GIT_CONFIG_GLOBAL": str(small.place / "gitconfig")},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return Ran(("sh", str(script), prefix), ended.returncode, ended.stdout, ended.stderr)


def export(small: Small, *argv: str, variant: str = "both") -> Path:
    script = small.place / "install.sh"
    small.run("export", "install-script", "--variant", variant, "-o", str(script), *argv).ok()
    return script


@pytest.mark.sandbox
@pytest.mark.usefixtures("namespaces")
def test_a_script_makes_what_a_build_makes(warm: Small) -> None:
    script = export(warm)
    ran = install(warm, script).ok()
    built = Path(warm.build("both", "--offline").ok().out.split()[0])
    assert listing(warm.place / "empty/out") == listing(built)
    assert ran.out.splitlines()[-2:] == [
        f"{_sha256(built / 'lib/libapp.so')}  ./lib/libapp.so",
        f"== {warm.place}/empty/out has it",
    ]
    expected = f'expect "app" {listing(built).digest} '
    assert expected not in script.read_text()
    assert expected in export(warm).read_text()


def _sha256(path: Path) -> str:
    return subprocess.check_output(["sha256sum", str(path)], text=True).split()[0]


@pytest.mark.sandbox
@pytest.mark.usefixtures("namespaces")
def test_what_a_script_refuses(warm: Small) -> None:
    script = export(warm, variant="small")
    text = script.read_text()
    commit = warm.upstream.commits["thing"]
    locked = re.findall(r"take .* ([0-9a-f]{64}) listed", text)
    wheel = re.search(r"from_index cmake \S+ ([0-9a-f]{64})", text)
    assert wheel
    zeros, ones = "0" * 64, "1" * 64
    wrong = "{} does not have its hash\n  expected  {}\n  actual    {}\n"
    for old, new, said in (
        (commit, warm.upstream.commits["app"], "not our ref|couldn't find remote ref|not have its hash"),
        (locked[0], zeros, wrong.format("thing", zeros, locked[0])),
        (wheel[1], ones, wrong.format("whl", ones, wheel[1])),
        ("-DMODE=plain", "-DMODE=exit", "thing: build failed: see"),
    ):
        script.write_text(text.replace(old, new))
        shutil.rmtree(warm.place / "empty", ignore_errors=True)
        ran = install(warm, script)
        assert ran.code != 0, ran.shown()
        assert re.search(said, ran.err), ran.shown()
        assert not (warm.place / "empty/out").exists()


@pytest.mark.sandbox
@pytest.mark.usefixtures("namespaces")
def test_a_script_leaves_what_is_there(warm: Small) -> None:
    script = export(warm, variant="small")
    (warm.place / "empty/out").mkdir(parents=True)
    ran = install(warm, script)
    assert (ran.code, ran.err) == (1, f"{script}: {warm.place}/empty/out is there already\n")
    assert list((warm.place / "empty").iterdir()) == [warm.place / "empty/out"]


def test_a_script_names_nothing_that_floats(warm: Small) -> None:
    text = export(warm).read_text()
    for line in re.findall(r"^from_git .*$", text, re.MULTILINE):
        assert re.fullmatch(r"from_git \S+ https://\S+ [0-9a-f]{40}", line)
    for line in re.findall(r"^from_(?:index|url) .*$", text, re.MULTILINE):
        assert re.fullmatch(r"from_(index|url) \S+ \S+ [0-9a-f]{64}", line)
    assert len(re.findall(r"^from_git ", text, re.MULTILINE)) == 4
    assert len(re.findall(r"^take ", text, re.MULTILINE)) == 4
    assert str(warm.place) not in text


def test_no_script_for_what_only_debian_has(small: Small) -> None:
    one = SourceTree("fp16", "sha256-", None, None, Filter(), (DebianOrigin(debian="fp16"),))
    with pytest.raises(UsageError) as raised:
        _origin(one)
    assert raised.value.message == (
        "a script cannot fetch `fp16`: neither git, a URL nor a package index has it"
    )
    assert (
        _origin(replace(one, origins=small.upstream.lock("thing").sources["thing"].origins))
        == (small.upstream.lock("thing").sources["thing"].origins[0])
    )


def linted(program: str, *argv: str) -> tuple[int, str]:
    """Run a linter of the development environment."""
    found = Path(sys.executable).with_name(program)
    ran = subprocess.run([found, *argv], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def test_shellcheck(warm: Small) -> None:
    assert linted("shellcheck", "--severity=warning", str(export(warm))) == (0, "")


# ---- the Dockerfile


def render(base: str = IMAGE, builder: str = IMAGE) -> str:
    return dockerfile.render(
        "#!/bin/sh\necho {braces}\n", component="nnpack", variant="mine", base=base, builder=builder
    )


def test_a_dockerfile() -> None:
    assert render().splitlines()[-10:] == [
        f"FROM {IMAGE} AS build",
        "COPY --chmod=755 <<'END_OF_THE_SCRIPT' /install.sh",
        "#!/bin/sh",
        "echo {braces}",
        "END_OF_THE_SCRIPT",
        "",
        "RUN WORK=/work /install.sh /opt/nnpack",
        "",
        f"FROM {IMAGE}",
        "COPY --from=build /opt/nnpack /opt/nnpack",
    ]


@pytest.mark.parametrize(
    "image", ["ubuntu", "ubuntu:22.04", "ubuntu@sha256:1234", f"Ubuntu@sha256:{'0' * 64}"]
)
def test_an_image_without_a_digest(image: str) -> None:
    for given in ({"base": image}, {"builder": image}):
        with pytest.raises(UsageError) as raised:
            render(**given)
        assert raised.value.message == (
            f"`{image}` may be another image tomorrow: name it by digest, as NAME@sha256:…"
        )


def test_the_images_are_named_by_digest() -> None:
    assert render(dockerfile.BASE, dockerfile.BUILDER).count("@sha256:") == 2


def test_hadolint(warm: Small) -> None:
    warm.run("export", "dockerfile", "--variant", "both", "-o", "Dockerfile").ok()
    assert linted("hadolint", str(warm.root / "Dockerfile")) == (0, "")


def test_hadolint_sees_what_floats(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM ubuntu\nRUN apt-get update\n")
    code, said = linted("hadolint", str(tmp_path / "Dockerfile"))
    assert code != 0
    assert "DL3006" in said
