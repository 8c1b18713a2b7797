"""The readers of a scan: what they find in texts, and that no text ends or stops them."""

from __future__ import annotations

import pytest

from recipes import located
from recipes.errors import SpecError
from recipes.scan import attempts, fixplan, reading, telling
from recipes.scan.findings import Found, Scan
from recipes.spec import Recipe, SourceChange

FULL = "07ff4fd8b0e23b7a2e0f1d2f6a5a3c4c5d6e7f80"
SHA256 = "70e8a77beed4562e7f14fe23a786b54f6296e34344c23bc42f07b15018ff98e9"


def scan(**files: str | bytes) -> Scan:
    """Scan texts; `CMakeLists_txt` is the name `CMakeLists.txt`."""
    named = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
    return reading.read(
        [(name, text.encode() if isinstance(text, str) else text) for name, text in named.items()]
    )


def told(found: Found) -> tuple[str, str, str | None, str]:
    return found.kind, found.what, found.ref, found.verdict.severity


def cmake(text: str) -> list[tuple[str, str, str | None, str]]:
    return [told(one) for one in scan(CMakeLists_txt=text).found]


def shell(text: str) -> list[tuple[str, str, str | None, str]]:
    return [told(one) for one in scan(a_sh=text).found]


@pytest.mark.parametrize(
    ("ref", "severity", "why"),
    [
        ("main", "floating", "a branch"),
        ("origin/main", "floating", "a branch"),
        ("refs/heads/v1", "floating", "a branch"),
        ("feature", "floating", "a branch, by its name"),
        ("v1.2.3", "movable", "a tag, by its name"),
        ("refs/tags/x", "movable", "a tag"),
        (FULL[:12], "movable", "a short commit id"),
        (FULL, "pinned", "a whole commit id"),
        (FULL.upper(), "pinned", "a whole commit id"),
        ("${TAG}", "unknown", "unknown until configured"),
        ("$ENV{TAG}", "unknown", "unknown until configured"),
        ("v${MAJOR}.2", "unknown", "unknown until configured"),
        ("@TAG@", "unknown", "unknown until configured"),
    ],
)
def test_a_git_tag_is_judged(ref: str, severity: str, why: str) -> None:
    text = f"FetchContent_Declare(x GIT_REPOSITORY https://host/x.git GIT_TAG {ref})"
    (found,) = scan(CMakeLists_txt=text).found
    assert (found.kind, found.what, found.name) == ("FetchContent_Declare", "https://host/x.git", "x")
    assert (found.verdict.severity, found.verdict.why) == (severity, why)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "EXTERNALPROJECT_ADD(x GIT_REPOSITORY https://h/x)",
            [("ExternalProject_Add", "https://h/x", "master", "floating")],
        ),
        (
            f"ExternalProject_Add(x URL https://h/x.tgz URL_HASH SHA256={SHA256})",
            [("ExternalProject_Add", "https://h/x.tgz", None, "pinned")],
        ),
        (
            "ExternalProject_Add(x URL https://h/x.tgz)",
            [("ExternalProject_Add", "https://h/x.tgz", None, "unhashed")],
        ),
        (
            "ExternalProject_Add(x URL https://h/x.tgz URL_HASH SHA256=${SUM})",
            [("ExternalProject_Add", "https://h/x.tgz", None, "unknown")],
        ),
        (
            "ExternalProject_Add(x DOWNLOAD_COMMAND git clone https://h/x)",
            [("externalproject_add git clone", "https://h/x", None, "floating")],
        ),
        (
            "FetchContent_Declare(x ${ARGS})",
            [("FetchContent_Declare", "${ARGS}", None, "unknown")],
        ),
        ("ExternalProject_Add(x SOURCE_DIR ${CMAKE_SOURCE_DIR}/x)", []),
        ("FetchContent_Declare(x URL ${CMAKE_SOURCE_DIR}/x.tgz)", [
            ("FetchContent_Declare", "${CMAKE_SOURCE_DIR}/x.tgz", None, "unknown")]),
        (
            'CPMAddPackage("gh:fmtlib/fmt#7.1.3")',
            [("CPMAddPackage", "https://github.com/fmtlib/fmt.git", "7.1.3", "movable")],
        ),
        (
            'CPMAddPackage("gh:fmtlib/fmt@7.1.3")',
            [("CPMAddPackage", "https://github.com/fmtlib/fmt.git", "v7.1.3", "movable")],
        ),
        (
            'CPMAddPackage("https://h/x.zip")',
            [("CPMAddPackage", "https://h/x.zip", None, "unhashed")],
        ),
        (
            'CPMAddPackage(NAME x GITHUB_REPOSITORY o/x VERSION 1.0 OPTIONS "A ON")',
            [("CPMAddPackage", "https://github.com/o/x.git", "v1.0", "movable")],
        ),
        (
            f"CPMAddPackage(NAME x GIT_REPOSITORY https://h/x GIT_TAG {FULL})",
            [("CPMAddPackage", "https://h/x", FULL, "pinned")],
        ),
        (
            f"file(DOWNLOAD https://h/a a EXPECTED_HASH SHA256={SHA256})\nfile(DOWNLOAD https://h/b b)",
            [
                ("file(DOWNLOAD)", "https://h/a", None, "pinned"),
                ("file(DOWNLOAD)", "https://h/b", None, "unhashed"),
            ],
        ),
        (
            f"execute_process(COMMAND git clone https://h/x x COMMAND ${{GIT_EXECUTABLE}} checkout {FULL})",
            [("execute_process git clone", "https://h/x", FULL, "pinned")],
        ),
        ("# ExternalProject_Add(x URL https://h/x)\n#[[ FetchContent_Declare(y URL https://h/y) ]]", []),
        ('message("ExternalProject_Add(x URL https://h/x)")', []),
        (
            "#[TODO] of people\nfile(DOWNLOAD https://h/b b)",
            [("file(DOWNLOAD)", "https://h/b", None, "unhashed")],
        ),
    ],
)  # fmt: skip
def test_cmake_downloads(text: str, expected: list[tuple[str, str, str | None, str]]) -> None:
    assert cmake(text) == expected


@pytest.mark.parametrize(
    ("before", "ref"),
    [
        (f"set(TAG {FULL})", FULL),
        (f"set(A {FULL})\nset(TAG ${{A}} CACHE STRING doc)", FULL),
        ("set(TAG a)\nset(TAG b)", "${TAG}"),
        ("set(TAG a)\nstring(TOLOWER ${TAG} TAG)", "${TAG}"),
        ("set(TAG ${TAG})", "${TAG}"),
        ("set(TAG ${OTHER})\nset(OTHER ${TAG})", "${TAG}"),
    ],
)
def test_variables_are_filled_in_where_they_have_one_value(before: str, ref: str) -> None:
    text = f"{before}\nFetchContent_Declare(x GIT_REPOSITORY https://h/x GIT_TAG ${{TAG}})"
    (found,) = scan(CMakeLists_txt=text).found
    assert found.ref == ref
    assert found.verdict.severity == ("pinned" if ref == FULL else "unknown")


def test_a_variable_with_several_values_names_them() -> None:
    text = "set(T v1)\nset(T v2)\nFetchContent_Declare(x GIT_REPOSITORY https://h/x GIT_TAG ${T})"
    (found,) = scan(CMakeLists_txt=text).found
    assert found.verdict.why == "unknown until configured: one of `v1`, `v2`"


def test_a_parameter_of_a_macro_is_not_a_variable_of_its_name() -> None:
    text = (
        "set(TAG main)\nmacro(get TAG)\nFetchContent_Declare(x GIT_REPOSITORY https://h/x GIT_TAG ${TAG})\n"
        "endmacro()\nFetchContent_Declare(y GIT_REPOSITORY https://h/y GIT_TAG ${TAG})"
    )
    assert [(one.line, one.verdict.severity) for one in scan(CMakeLists_txt=text).found] == [
        (3, "unknown"),
        (5, "floating"),
    ]


def test_a_variable_of_another_file_of_the_tree() -> None:
    found = scan(
        CMakeLists_txt="include(cmake/x.cmake)\nset(TAG v1.0)",
        cmake__x_cmake="FetchContent_Declare(x GIT_REPOSITORY https://h/x GIT_TAG ${TAG})",
    ).found
    assert [(one.file, one.ref) for one in found] == [("cmake/x.cmake", "v1.0")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("git clone https://h/x.git", [("git clone", "https://h/x.git", None, "floating")]),
        ("git clone -b v1.0 https://h/x", [("git clone", "https://h/x", "v1.0", "movable")]),
        ("git clone --branch=main https://h/x", [("git clone", "https://h/x", "main", "floating")]),
        (f"git clone https://h/x\ncd x\ngit checkout {FULL}", [("git clone", "https://h/x", FULL, "pinned")]),
        (
            f"git clone https://h/x && (cd x && git checkout -q {FULL[:9]})",
            [("git clone", "https://h/x", FULL[:9], "movable")],
        ),
        (
            f"git clone https://h/x\ngit clone https://h/y\ngit -C x checkout {FULL}",
            [("git clone", "https://h/x", FULL, "pinned"), ("git clone", "https://h/y", None, "floating")],
        ),
        (
            f"cd x\ngit remote add origin https://h/x\ngit fetch origin {FULL}\ngit checkout FETCH_HEAD",
            [("git remote add", "https://h/x", FULL, "pinned")],
        ),
        ("git clone ../x", []),
        ("git checkout -- file", []),
        ("git checkout main", [("git checkout", "main", "main", "floating")]),
        ("git pull", [("git pull", "git pull", None, "floating")]),
        ("git submodule update --init", []),
        (
            "git submodule update --remote",
            [("git submodule", "git submodule update", None, "floating")],
        ),
        ("T=v2.0\ngit clone --branch ${T} https://h/x", [("git clone", "https://h/x", "v2.0", "movable")]),
        ("git clone --branch $1 https://h/x", [("git clone", "https://h/x", "$1", "unknown")]),
        ('git clone "$URL"', [("git clone", "$URL", None, "unknown")]),
        ("sudo -E retry 3 git clone https://h/x", [("git clone", "https://h/x", None, "floating")]),
        ("bash -c 'git clone https://h/x'", [("git clone", "https://h/x", None, "floating")]),
        ("x=$(git clone https://h/x)", [("git clone", "https://h/x", None, "floating")]),
        ("echo git clone https://h/x  # git clone https://h/y", []),
        ("cat > f <<'E'\ngit clone https://h/x\nE", []),
    ],
)
def test_clones_of_shell_scripts(text: str, expected: list[tuple[str, str, str | None, str]]) -> None:
    assert shell(text) == expected


@pytest.mark.parametrize(
    ("text", "kind", "severity"),
    [
        ("curl -fsSL https://h/x -o x", "curl", "unhashed"),
        ("wget -q https://h/releases/latest/x", "wget", "floating"),
        ("curl https://h/x | sudo bash -", "curl", "floating"),
        (f"curl https://h/x -o x\necho '{SHA256}  x' | sha256sum -c -", "curl", "pinned"),
        (f'S={SHA256}\nwget https://h/x\necho "$S  x" | sha256sum --check', "wget", "pinned"),
        ("wget https://h/x https://h/x.sha256\nsha256sum -c x.sha256", "wget", "unhashed"),
        (f"fetch-it https://h/x x sha256 {SHA256}", "fetch-it", "pinned"),
        ('curl -o out "${url}"', "curl", "unknown"),
        ("pip install numpy", "pip install", "floating"),
        ("python3 -m pip install -U 'numpy>=1'", "pip install", "floating"),
        ("uv pip install numpy==2.1", "pip install", "unhashed"),
        ("pip install --require-hashes -r requirements.txt", "pip install", "pinned"),
        ("pip install -r requirements.txt", "pip install", "unhashed"),
        ("pip install git+https://h/x@main", "pip install", "floating"),
        (f"pip install git+https://h/x@{FULL}#egg=x", "pip install", "pinned"),
        ("apt-get -y install --no-install-recommends cmake", "apt-get install", "floating"),
        ("apt install cmake=3.1-1", "apt-get install", "unhashed"),
        ("apt-get install $@", "apt-get install", "unknown"),
        ("npm install -g yarn", "npm install", "floating"),
        ("npm install -g yarn@1.22.0", "npm install", "unhashed"),
        ("npm ci", "npm install", "pinned"),
        ("cargo install sccache", "cargo install", "floating"),
        ("cargo install sccache --version 0.8.1", "cargo install", "floating"),
        ("cargo install sccache --version 0.8.1 --locked", "cargo install", "unhashed"),
        ("docker pull ubuntu", "docker pull", "floating"),
    ],
)
def test_downloads_and_packages_of_shell_scripts(text: str, kind: str, severity: str) -> None:
    found = {one.kind: one.verdict.severity for one in scan(a_sh=text).found}
    assert found == {kind: severity}


@pytest.mark.parametrize(
    "text",
    ["pip install .", "pip install -e ./x", "apt-get update", "curl http://localhost:8/x", "curl -d a https://h/x"],
)  # fmt: skip
def test_what_is_no_input(text: str) -> None:
    assert shell(text) == []


def test_a_dockerfile() -> None:
    text = f"""ARG V=22.04
FROM ubuntu:${{V}} AS base
FROM base
FROM scratch
FROM --platform=$P x@sha256:{SHA256}
COPY --from=base /a /b
COPY --from=ghcr.io/o/uv:0.1 /uv /bin/
ADD https://h/x /x
ADD --checksum=sha256:{SHA256} https://h/y /y
RUN apt-get update \\
    # a comment
    && git clone https://h/x
RUN ["git", "clone", "https://h/y"]
RUN <<EOF
echo
git clone https://h/z
EOF
"""
    assert [(one.line, *told(one)) for one in scan(Dockerfile=text).found] == [
        (2, "FROM", "ubuntu:22.04", None, "movable"),
        (5, "FROM", f"x@sha256:{SHA256}", None, "pinned"),
        (7, "COPY --from", "ghcr.io/o/uv:0.1", None, "movable"),
        (8, "ADD", "https://h/x", None, "unhashed"),
        (9, "ADD", "https://h/y", None, "pinned"),
        (12, "RUN git clone", "https://h/x", None, "floating"),
        (13, "RUN git clone", "https://h/y", None, "floating"),
        (16, "RUN git clone", "https://h/z", None, "floating"),
    ]


WORKFLOW = f"""on: push
jobs:
  a:
    runs-on: ubuntu-latest
    container: python:3.12
    steps:
      - uses: actions/checkout@v4
      - uses: ./local
      - uses: o/x/sub@{FULL}
      - run: |
          echo ${{{{ github.ref }}}}
          git clone https://h/x
      - run: curl https://h/y | sh
      - run: git clone https://h/z
        shell: pwsh
"""


def test_a_workflow() -> None:
    found = reading.read([(".github/workflows/ci.yml", WORKFLOW.encode())]).found
    assert [(one.line, *told(one)) for one in found] == [
        (5, "image", "python:3.12", None, "movable"),
        (7, "uses", "actions/checkout@v4", "v4", "movable"),
        (9, "uses", f"o/x/sub@{FULL}", FULL, "pinned"),
        (12, "run: git clone", "https://h/x", None, "floating"),
        (13, "run: curl", "https://h/y", None, "floating"),
    ]


def test_submodules() -> None:
    text = '[submodule "a"]\n\tpath = a\n\turl = https://h/a\n\tbranch = main\n[submodule "b"]\n url = ../b\n'
    found = reading.read([(".gitmodules", text.encode())]).found
    assert [(one.line, *told(one)) for one in found] == [
        (4, "submodule", "https://h/a", "main", "movable"),
        (5, "submodule", "../b", None, "pinned"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.cmake", b"set(A \xff)\n", "line 1: not UTF-8; read with replacements"),
        ("a.cmake", b"set(A\n", "not CMake's grammar: Expected ')' and got unexpected end of file"),
        ("a.cmake", b"a\0b", "not read: it is binary"),
        ("a.cmake", b"#\n" * 2_500_000, "not read: 5000000 bytes, and at most 4000000 are"),
        ("a.cmake", b"#" * 300_000, "not read: a line of more than 250000 bytes"),
        ("a.cmake", b"[[ \n" * 40_000, "not read: more brackets"),
        ("a.cmake", b"f(" + b"(\n" * 5000, "parentheses nested too deep"),
        ("a.sh", b"if true; then\n", "not the shell's grammar"),
        ("a.sh", b"$(\n" * 10_000, "not the shell's grammar"),
        (".github/workflows/a.yml", b"a: [", "not read as YAML"),
        (".github/workflows/a.yml", b"- " * 10_000, "not read as YAML"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_is_read(name: str, data: bytes, why: str) -> None:
    clone = b"git clone https://h/x\n"
    found = reading.read([(name, data), ("z.sh", clone)])
    assert [one.file for one in found.unread] == [name]
    assert why in found.unread[0].why
    assert [one.file for one in found.found] == ["z.sh"]


def test_what_comes_before_an_error_is_found() -> None:
    found = scan(
        CMakeLists_txt="file(DOWNLOAD https://h/a a)\n)broken(\n", a_sh="git clone https://h/x\nfi ((\n"
    )
    assert [one.what for one in found.found] == ["https://h/a", "https://h/x"]
    assert [one.file for one in found.unread] == ["CMakeLists.txt", "a.sh"]


def test_variables_that_grow_or_go_round_come_to_an_end() -> None:
    doubling = "".join(f'set(V{n + 1} "${{V{n}}}${{V{n}}}")\n' for n in range(400))
    chain = "".join(f"set(W{n} ${{W{n + 1}}} ${{W{n + 2}}})\n" for n in range(400))
    use = "FetchContent_Declare(x GIT_REPOSITORY https://h/x GIT_TAG ${V400})\n"
    use += "FetchContent_Declare(y GIT_REPOSITORY https://h/y GIT_TAG ${W0})\n"
    found = scan(CMakeLists_txt=f"set(V0 a)\n{doubling}{chain}{use}").found
    assert [one.verdict.severity for one in found] == ["unknown", "unknown"]


NESTED = """if(BACKEND)
  IF(BUILD_TESTS AND NOT DEFINED FP16_SOURCE_DIR)
    if(OLD)
      CONFIGURE_FILE(cmake/DownloadFP16.cmake "${B}/CMakeLists.txt")
    endif()
  ENDIF()
endif()
if(NOT TARGET z)
  FetchContent_Declare(Z URL https://h/z.tgz)
endif()
CPMAddPackage("gh:o/Json@1.2")
include(cmake/free.cmake)
"""
PLANNED = scan(
    CMakeLists_txt=NESTED,
    cmake__DownloadFP16_cmake="ExternalProject_Add(fp16 GIT_REPOSITORY https://h/FP16.git GIT_TAG master)",
    cmake__free_cmake="ExternalProject_Add(free GIT_REPOSITORY https://h/free.git GIT_TAG 1.10)",
)


def test_a_fix_plan_names_what_stops_each_download() -> None:
    assert [(one.name, one.setting, one.ref) for one in fixplan.dependencies(PLANNED)] == [
        ("fp16", "FP16_SOURCE_DIR", "master"),
        ("free", None, "1.10"),
        ("json", "CPM_Json_SOURCE", "v1.2"),
        ("z", "FETCHCONTENT_SOURCE_DIR_Z", None),
    ]


def test_a_fix_plan_is_recipes_that_the_engine_takes() -> None:
    *drafts, environment = fixplan.draft(PLANNED).split("\n---\n")
    recipes = [
        located.check(located.read(one.encode(), "recipe.yaml", SpecError), Recipe, SpecError)
        for one in drafts
        if "- url:" not in one
    ]
    assert [one.source.ref for one in recipes if one.source] == ["master", "1.10", "v1.2"]
    sources = located.read(environment.encode(), "environment.yaml", SpecError).value["sources"]
    assert SourceChange.model_validate(sources["free"]).ref == "1.10"
    assert sources["z"] is None
    assert (
        "#   -DFP16_SOURCE_DIR={fp16}\n#   free: no variable seen that stops cmake/free.cmake" in environment
    )


def test_a_hostile_name_stays_inside_a_fix_plan() -> None:
    text = 'FetchContent_Declare("x\n- evil: [" GIT_REPOSITORY "https://h/\\"\nx: y" GIT_TAG main)'
    plan = fixplan.draft(scan(CMakeLists_txt=text))
    assert '    - git: "https://h/\\"\\u000ax: y"' in plan
    assert "\n- evil" not in plan


def test_text_tells_the_worst_first_and_what_was_not_read() -> None:
    found = scan(a_sh="curl https://h/x -o x\ngit clone https://h/x\npip install --require-hashes -r r\n")
    assert telling.text(found, everything=False) == (
        "a.sh:2: floating: git clone https://h/x\n  no ref: the default branch\n"
        "a.sh:1: unhashed: curl https://h/x\n  no hash is checked\n"
        "3 inputs: 1 floating, 1 unhashed, 1 pinned; 1 file read"
    )
    assert "a.sh:3: pinned: pip install -r r" in telling.text(found, everything=True)
    assert telling.is_loose(found)
    assert not telling.is_loose(scan(a_sh="npm ci"))


def test_markdown_cells_hold() -> None:
    found = scan(a_sh="git clone 'https://h/x|`y'\n")
    (row,) = telling.markdown(found, everything=False).split("\n")[2:3]
    assert row.startswith("| `a.sh:1` | floating | git clone | `https://h/x\\|'y` | no ref")


def test_passwords_in_urls_are_not_told() -> None:
    found = scan(a_sh="git clone https://me:secret@h/x\n")
    assert "secret" not in telling.text(found, everything=True) + telling.markdown(found, everything=True)
    assert "secret" not in str(telling.document(found, everything=True, commit=None))


def test_what_a_log_tells_of_downloads() -> None:
    log = (
        "-- The C compiler identification is Clang\n-- Downloading FP16 to /src/deps/fp16 (define X)\n"
        "CMake Error: could not find git for clone of fp16\n  fatal: Could not resolve host: h.example\n"
        "fatal: Could not resolve host: h.example\n-- Configuring done\n"
    )
    assert attempts.told(log) == (
        "-- Downloading FP16 to /src/deps/fp16 (define X)",
        "CMake Error: could not find git for clone of fp16",
        "fatal: Could not resolve host: h.example",
    )
