"""The rule of docs/ARCHITECTURE.md: a module imports only what is on its own layer or below."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PURE = {
    *("evidence", "evidence.naming", "evidence.provenance", "evidence.parts", "evidence.cyclonedx"),
    *("evidence.spdx", "evidence.trust", "evidence.chains", "evidence.changes"),
    *("export.installscript", "export.prelude", "export.dockerfile"),
    *("bare", "derivations", "infos"),
    *(
        "errors",
        "dates",
        "tree",
        "hashes",
        "located",
        "origins",
        "spec",
        "speccheck",
        "spectexts",
        "held",
        "asking",
        "requirements",
        "lock",
        "plan",
    ),
    *(
        "cmake",
        "toolchain",
        "caching",
        "sandbox",
        "show",
        "diff",
        "history",
        "giturls",
        "aptsources",
        "breakages",
        "logs",
    ),
}
PURE |= {f"develop.{one}" for one in ("layout", "wheels", "presets", "activation", "exports")}
PURE |= {f"conda.{one}" for one in ("block", "channels", "lockfile")}
PURE |= {"holdback"} | {f"holdback.{one}" for one in ("settle", "mixing", "outcome", "telling")}
PURE |= {"bisect"} | {f"bisect.{one}" for one in ("log", "reason", "search", "verdict")}
PURE |= {f"scan.{one}" for one in ("findings", "reading", "cmakefile", "variables", "cmakeinputs", "shell")}
PURE |= {
    f"scan.{one}" for one in ("scripts", "gitcommands", "downloads", "packages", "dockerfile", "workflow")
}
PURE |= {f"scan.{one}" for one in ("submodules", "telling", "fixplan", "attempts")}
PURE |= {f"health.{one}" for one in ("model", "page", "pagetables", "chart", "markup", "style")}
PURE |= {"health"} | {f"health.{one}" for one in ("grade", "telling")}
PROGRAMS = {
    "conda.installer",
    "conda.solver",
    "conda.lister",
}  # started in processes of their own, with arguments and outputs like a command
PURE |= {
    f"verify.{one}" for one in ("causes", "differences", "elf", "outcome", "parts", "published", "world")
}
STAGES = {
    *("health.packages", "health.sources", "health.make", "health.hosting", "health.reach"),
    "scan.prove",
    *("bisect.judge", "bisect.make", "bisect.steps"),
    *("holdback.make", "holdback.search", "holdback.trial"),
    *("develop.make", "develop.enter", "develop.exporting"),
    "conda.locking",
    "conda.prefix",
    "verify.again",
    "verify.rebuild",
    "evidence.attest",
    "evidence.inventory",
    "evidence.record",
    "builder",
    "doctor",
    "workplace",
    "carriers",
    "export.writing",
    "compare",
    "fetch",
    "locking",
    "override",
    "realise",
    "repair",
    "refresh",
    "resolve",
    "resolverefs",
    "resolvewheels",
    "run",
}
IMPURE = {"os", "sys", "subprocess", "time", "socket", "pathlib", "shutil", "tempfile", "threading", "random"}
OWNERS = {
    "subprocess": {"process"},
    "yaml": {"located", "lock", "conda.lockfile"},
    "rich": {"report"},
    "fcntl": {"flock"},
}
AMBIENT = {  # what a caller passes in, and only the commands ask for
    *("os.environ", "os.getenv", "os.getcwd", "Path.cwd", "Path.home", ".expanduser", "os._exit"),
    *("sys.argv", "sys.exit", "sys.stdin", "input", "exit"),
}
TERMINAL = {"print", "sys.stdout", "sys.stderr"}

TOP = Path(__file__).parents[1] / "recipes"
MODULES = {
    ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
        path.read_bytes()
    )
    for path in TOP.rglob("*.py")
    if TOP / "components" not in path.parents
}


def is_command(module: str) -> bool:
    return module.partition(".")[0] == "commands"


def layer(module: str) -> int:
    return 4 if is_command(module) else 1 if module in PURE else 3 if module in STAGES else 2


def imported(tree: ast.Module) -> Iterator[str]:
    """Give the modules that one imports, `recipes.NAME` for ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            for one in node.names:
                below = f"{node.module}.{one.name}"
                is_module = below.removeprefix("recipes.") in MODULES
                yield below if is_module else str(node.module)


def named(tree: ast.Module) -> set[str]:
    """Give the names, `NAME.ATTRIBUTE`s and `.ATTRIBUTE`s that a module uses."""
    nodes = list(ast.walk(tree))
    attributes = {f".{node.attr}" for node in nodes if isinstance(node, ast.Attribute)}
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    dotted = {
        f"{node.value.id}.{node.attr}"
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return plain | dotted | attributes


def test_every_module_that_has_a_layer_exists() -> None:
    assert MODULES.keys() >= PURE | STAGES
    assert not PURE & STAGES


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_downwards(module: str) -> None:
    ours = {one.removeprefix("recipes.") for one in imported(MODULES[module]) if one.startswith("recipes.")}
    assert ours <= MODULES.keys()
    assert not {one for one in ours if layer(one) > layer(module)}
    assert "cli" not in imported(MODULES[module])


@pytest.mark.parametrize("module", sorted(PURE))
def test_the_pure_layer_has_no_disk_clock_or_network(module: str) -> None:
    assert not {one.split(".")[0] for one in imported(MODULES[module])} & IMPURE
    assert not named(MODULES[module]) & {"open", "datetime.now", "datetime.utcnow", "date.today"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_each_outside_thing_has_its_owner(module: str) -> None:
    used = {one.split(".")[0] for one in imported(MODULES[module])} & OWNERS.keys()
    assert all(module in OWNERS[one] for one in used), used


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_the_command_line_knows_of_the_environment(module: str) -> None:
    assert is_command(module) or module in PROGRAMS or not named(MODULES[module]) & AMBIENT
    assert module == "report" or module in PROGRAMS or not named(MODULES[module]) & TERMINAL
