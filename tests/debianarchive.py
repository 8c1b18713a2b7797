"""A small archive of Debian source packages, signed with a key of its own, and an apt that knows no other."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

NEEDED = ("apt-get", "apt-cache", "apt-config", "gpg", "gpgv")
DATE = "Sat, 01 Jan 2022 00:00:0{} UTC"  # of a Release; apt refuses one that is older than what it has


def refusal() -> str | None:
    """Say why no such archive can be made here."""
    missing = [one for one in NEEDED if shutil.which(one) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


@dataclass(frozen=True)
class Key:
    """A key to sign with, and the public half in a file that apt takes."""

    home: Path
    public: Path

    def gpg(self, *argv: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--no-tty", "--passphrase", ""]
        ran = subprocess.run([*command, *argv], input=data, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout

    def sign(self, data: bytes) -> bytes:
        return self.gpg("--digest-algo", "SHA512", "--clearsign", data=data)


@contextmanager
def key() -> Iterator[Key]:
    """Make a key; its agent is ended with it."""
    # not in pytest's directory: the agent's socket has a path of 108 bytes at most
    with TemporaryDirectory(prefix="gpg-", dir="/tmp") as place:
        home = Path(place, "home")
        home.mkdir(mode=0o700)
        made = Key(home, Path(place, "public.gpg"))
        made.gpg("--quick-generate-key", "an archive for tests", "ed25519", "sign", "never")
        made.public.write_bytes(made.gpg("--export"))
        Path(place).chmod(0o755)
        made.public.chmod(0o644)
        try:
            yield made
        finally:
            kill = ["gpgconf", "--homedir", str(home), "--kill", "all"]
            subprocess.run(kill, check=False, capture_output=True)


def tarball(files: Mapping[str, bytes], *, executable: str = "") -> bytes:
    """Make a tarball; its bytes depend on what is in it only."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(text), 0o755 if path == executable else 0o644
            archive.addfile(info, io.BytesIO(text))
    return lzma.compress(data.getvalue())


@dataclass
class Archive:
    """An archive as files by their path below its URI; `suites` maps a suite to its packages' versions."""

    key: Key
    suites: dict[str, dict[tuple[str, str], dict[str, bytes]]] = field(default_factory=dict)
    edition: int = 0

    def add(self, suite: str, package: str, version: str, files: Mapping[str, bytes]) -> None:
        """Put a version of a source package in a suite: its files by name."""
        self.suites.setdefault(suite, {})[package, version] = dict(files)

    def files(self) -> dict[str, bytes]:
        """Make all the files anew, a newer edition each time."""
        self.edition += 1
        made: dict[str, bytes] = {}
        for suite, versions in self.suites.items():
            sources = "\n".join(_paragraph(*one, files) for one, files in versions.items()).encode()
            release = _release(suite, sources, self.edition)
            made[f"dists/{suite}/main/source/Sources"] = sources
            made[f"dists/{suite}/InRelease"] = self.key.sign(release)
            for (package, _), files in versions.items():
                made |= {f"pool/{package}/{name}": data for name, data in files.items()}
        return made


def _paragraph(package: str, version: str, files: Mapping[str, bytes]) -> str:
    listed = {**files, f"{package}_{version.partition('-')[0]}.dsc": b"not needed\n"}
    sums = {
        name: [f" {hashlib.new(kind, data).hexdigest()} {len(data)} {file}" for file, data in listed.items()]
        for name, kind in (("Files", "md5"), ("Checksums-Sha256", "sha256"))
    }
    text = f"Package: {package}\nBinary: lib{package}\nVersion: {version}\nDirectory: pool/{package}\n"
    return text + "".join(f"{name}:\n" + "\n".join(lines) + "\n" for name, lines in sums.items())


def _release(suite: str, sources: bytes, edition: int) -> bytes:
    line = f" {hashlib.sha256(sources).hexdigest()} {len(sources)} main/source/Sources"
    return (
        f"Origin: Debian\nSuite: {suite}\nCodename: {suite}\nDate: {DATE.format(edition)}\n"
        f"Architectures: amd64 arm64\nComponents: main\nSHA256:\n{line}\n"
    ).encode()


def write(files: Mapping[str, bytes], place: Path) -> None:
    """Write an archive's files."""
    for path, data in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)


def environment(place: Path, sources: Mapping[str, str], more: str = "") -> dict[str, str]:
    """Give an environment in which apt has these files of sources, and no settings but `more`."""
    parts = place / "sources.list.d"
    parts.mkdir(parents=True, exist_ok=True)
    for name, text in sources.items():
        (parts / name).write_text(text)
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": parts,
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": place / "empty",
        "Dir::Etc::trusted": "/dev/null",
        "Dir::Etc::trustedparts": place / "empty",
        "Dir::Etc::netrc": "/dev/null",
        "Dir::Etc::netrcparts": place / "empty",
    }
    (place / "empty").mkdir(exist_ok=True)
    text = "".join(f'{name} "{value}";\n' for name, value in settings.items())
    (place / "apt.conf").write_text(text + more)
    return {"PATH": os.environ["PATH"], "APT_CONFIG": str(place / "apt.conf")}
