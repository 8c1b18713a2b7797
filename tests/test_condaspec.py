from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recipes import located
from recipes.conda.block import SELECTORS, Conda, credentials, environment_yml, name_of
from recipes.dates import written
from recipes.errors import SpecError

BLOCK = """\
channels: [conda-forge]
before: 2026-01-01T00:00:00Z
dependencies:
  - python=3.11
  - cmake>=3.26,<4
platform_dependencies:
  linux-64: [gxx_linux-64=13]
  osx-arm64: [cxx-compiler]
"""
WRITTEN = """\
channels:
  - conda-forge
platforms:
  - linux-64
  - linux-aarch64
  - osx-arm64
dependencies:
  - "python=3.11"
  - "cmake>=3.26,<4"
  - "gxx_linux-64=13"  # [linux64]
  - "cxx-compiler"  # [arm64]
"""


def block(text: str) -> Conda:
    return located.check(located.read(text.encode(), "e.yaml", SpecError), Conda, SpecError)


def test_a_block_is_an_environment_yml_for_three_platforms() -> None:
    found = block(BLOCK)
    assert found.platforms == ("linux-64", "linux-aarch64", "osx-arm64")
    assert found.before
    assert written(found.before) == "2026-01-01T00:00:00Z"
    assert found.asked("linux-64") == ("python=3.11", "cmake>=3.26,<4", "gxx_linux-64=13")
    assert found.asked("linux-aarch64") == ("python=3.11", "cmake>=3.26,<4")
    assert environment_yml(found) == WRITTEN


REFUSED = [
    (
        "channels: []\ndependencies: [a]\n",
        "e.yaml:1:1: channels: expected at least one, got nothing",
    ),
    (
        "channels: [x]\ndependencies: [conda-forge::a]\n",
        (
            "e.yaml:2:16: dependencies[0]: `conda-forge::a` is not a package with versions, such as "
            "`cmake>=3.26,<4` or `python=3.11`"
        ),
    ),
    (
        "channels: [x]\ndependencies: [{pip: [a]}]\n",
        "e.yaml:2:16: dependencies[0]: expected text, got a mapping",
    ),
    ("channels: [x]\ndependencies: [a, a=1]\n", "e.yaml:2:19: dependencies[1]: `a` is asked for twice"),
    (
        "channels: [x]\ndependencies: [a]\nplatform_dependencies: {osx-arm64: [a>1]}\n",
        "e.yaml:3:37: platform_dependencies.osx-arm64[0]: `a` is asked for twice",
    ),
    (
        "channels: [x]\nplatforms: [linux-64]\ndependencies: [a]\nplatform_dependencies: {osx-arm64: [b]}\n",
        "e.yaml:4:25: platform_dependencies.osx-arm64: `osx-arm64` is not one of the platforms",
    ),
    (
        "channels: [x]\nplatforms: [win-64]\ndependencies: [a]\n",
        (
            "e.yaml:2:13: platforms[0]: expected `linux-64` or `linux-aarch64` or `osx-arm64`, got `win-64`, "
            "did you mean `linux-64`?"
        ),
    ),
    (
        "channels: [x]\ndependencies: [a]\ndependancies: [b]\n",
        "e.yaml:3:1: dependancies: unknown key `dependancies`, did you mean `dependencies`?",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message[12:50] for _, message in REFUSED])
def test_what_a_block_must_not_hold(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        block(text)
    assert caught.value.message.splitlines()[0] == message


@pytest.mark.parametrize(
    ("channel", "secret"),
    [
        ("https://me:secret@example.org/c", "a user name or password"),
        ("https://me@example.org/c", "a user name or password"),
        ("https://example.org/t/tk-123/c", "a token"),
    ],
)
def test_credentials_in_a_channel_are_refused_with_the_reason(channel: str, secret: str) -> None:
    with pytest.raises(SpecError) as caught:
        block(f'channels: ["{channel}"]\ndependencies: [a]\n')
    assert caught.value.message == (
        f"e.yaml:1:12: channels[0]: the URL has {secret}, and specs and locks are for everyone; credentials "
        "are kept where conda's tools look for them: `.condarc`, netrc, `RATTLER_AUTH_FILE`"
    )
    assert "secret" not in caught.value.message.replace("secrets", "")


@pytest.mark.parametrize("channel", ["$HOME", "https://example.org/${TOKEN}/c", "-c", "a b", "ftp://x/y", ""])
def test_what_is_no_channel(channel: str) -> None:
    with pytest.raises(SpecError, match="channels"):
        block(f'channels: ["{channel}"]\ndependencies: [a]\n')


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://example.org/team/c", None),
        ("https://example.org/t", None),
        ("https://example.org/at/x/c", None),
        ("https://example.org/c@2", None),
    ],
)
def test_what_is_no_secret(url: str, secret: str | None) -> None:
    assert credentials(url) is secret


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("numpy", "numpy"),
        ("python=3.11", "python"),
        ("gxx_linux-64 13.*", "gxx_linux-64"),
        ("_openmp_mutex ==4.5", "_openmp_mutex"),
        ("python 3.11.* *_cpython", "python"),
        ("zlib>=1.2, <2", "zlib"),
        ("a>1|<0.5", "a"),
    ],
)
def test_the_name_in_a_dependency(text: str, name: str) -> None:
    assert name_of(text) == name
    assert block(f'channels: [x]\ndependencies: ["{text}"]\n').asked("linux-64") == (text,)


NAMES = st.from_regex(r"[a-z_][a-z0-9_.-]{0,8}", fullmatch=True)
VERSIONS = st.sampled_from(["", "=3.11", ">=1.2,<2", " 13.*", "==1.0", "!=1", "~=1.3"])


@given(
    st.dictionaries(NAMES, VERSIONS, min_size=1, max_size=6),
    st.dictionaries(st.sampled_from([*SELECTORS]), st.dictionaries(NAMES, VERSIONS, max_size=3)),
)
def test_what_is_written_is_what_is_asked(
    general: dict[str, str], special: dict[Any, dict[str, str]]
) -> None:
    asked = [f"{name}{version}" for name, version in general.items()]
    by_platform = {
        one: [f"{name}{version}" for name, version in them.items() if name not in general]
        for one, them in special.items()
    }
    conda = Conda.model_validate(
        {"channels": ["x"], "dependencies": asked, "platform_dependencies": by_platform}
    )
    text = environment_yml(conda)
    everything = yaml.safe_load(text)["dependencies"]
    assert sorted(everything) == sorted([*asked, *(one for them in by_platform.values() for one in them)])
    for platform, selector in SELECTORS.items():
        lines = [line for line in text.splitlines() if "# [" not in line or line.endswith(f"# [{selector}]")]
        assert tuple(yaml.safe_load("\n".join(lines))["dependencies"]) == conda.asked(platform)
