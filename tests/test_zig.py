"""What `recipes.caching` and `recipes.compilercache` say of zig's cache, asked of the zig that is locked."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from recipes import caching, requirements, toolchain
from recipes.run import system

pytestmark = [pytest.mark.slow, pytest.mark.network]

LOCK = Path(__file__).parent.parent / "locks/no-nnpack.requirements.txt"


@pytest.fixture(scope="module")
def zig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fetch the locked zig as pip is configured to; give its program."""
    place = tmp_path_factory.mktemp("zig")
    locked = requirements.parse(LOCK.read_text("utf-8"), str(LOCK)).for_platform(system())
    version = next(one.version for one in locked if one.project == "ziglang")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, "--dest", place, f"ziglang=={version}"], check=True)
    [wheel] = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    (place / "ziglang/zig").chmod(0o755)
    return place / "ziglang/zig"


@dataclass
class Compiler:
    """A wrapper of zig, with a cache of its own."""

    place: Path
    zig: Path

    def object(self, source: str, *flags: str, epoch: int = 0) -> bytes:
        """Compile a text that has the inode and the time of the one before; give the object."""
        file = self.place / "a.c"
        with file.open("r+" if file.exists() else "w") as written:
            written.write(source)
        os.utime(file, (1, 1))
        text = toolchain.wrappers("linux-64", "linux-64")["cc"]
        (self.place / "cc").write_text(text.replace(toolchain.ZIG, str(self.zig)))
        cache = str(self.place / "cache/zig")
        variables = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        env = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": str(epoch), **variables}
        argv = ["sh", "./cc", *flags, "-c", "a.c", "-o", "a.o"]
        subprocess.run(argv, cwd=self.place, env=env, check=True)
        return (self.place / "a.o").read_bytes()

    def kept(self) -> list[Path]:
        """Give the objects in the cache."""
        return sorted((self.place / "cache/zig/o").glob("*/a.o"))

    def distrust(self) -> None:
        """Do to the manifests what is done to those that are kept for another build."""
        for one in (self.place / "cache/zig/h").glob("*.txt"):
            one.write_bytes(caching.distrustful(one.read_bytes()))


@pytest.fixture
def compiler(zig: Path, tmp_path: Path) -> Compiler:
    return Compiler(tmp_path, zig)


def test_zig_keeps_no_object_where_cmake_asks_for_its_dependencies(compiler: Compiler) -> None:
    compiler.object("int x = 1;\n", "-MD", "-MT", "a.o", "-MF", "a.o.d")
    assert compiler.kept() == [], "ccache is not needed any more"


def test_a_kept_manifest_leads_to_no_other_version_of_a_file(compiler: Compiler) -> None:
    first = compiler.object("int x = 1;\n")
    assert compiler.object("int x = 2;\n") == first, "inodes and times need not be distrusted any more"
    compiler.distrust()
    assert compiler.object("int x = 2;\n") != first


def test_the_date_is_not_in_zigs_hash(compiler: Compiler) -> None:
    text = "const char *day = __DATE__;\n"
    first = compiler.object(text, epoch=0)
    assert compiler.object(text, epoch=10**9) == first, "the environment need not be in the key any more"


def test_a_hit_has_the_bytes_of_the_first_time(compiler: Compiler) -> None:
    first = compiler.object("int x = 1;\n", "-O2")
    compiler.distrust()
    [kept] = compiler.kept()
    made = kept.stat().st_mtime_ns
    assert compiler.object("int x = 1;\n", "-O2") == first
    assert [one.stat().st_mtime_ns for one in compiler.kept()] == [made], "it was a hit"
