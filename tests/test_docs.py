"""What the documentation says of the code is looked up in the code."""

import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import pydantic
import pytest
import typer
import yaml

import cli
from recipes import errors, spec
from recipes.lock import Lock
from recipes.settings import _Config

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# the hosts of package registries, spelt so that this file does not name one
REGISTRY = re.compile(r"\b(pypi|pythonhosted|anaconda|conda|prefix)\.(org|com|io|dev)\b", re.IGNORECASE)


def text(name: str) -> str:
    return (ROOT / name).read_text()


def prose(name: str) -> str:
    return FENCED.sub("", text(name))


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as code hosts make them."""
    found = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in found}


def rows(page: str, *, below: str) -> list[list[str]]:
    """Give the cells of the first table below a heading, without its head."""
    after = text(page).split(f"\n{below}\n", 1)[1]
    table = re.search(r"^\|.*?\n(?!\|)", f"{after}\n", re.MULTILINE | re.DOTALL)
    assert table, f"{page} has no table below {below}"
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].strip().splitlines()[2:]
    ]


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/ARCHITECTURE.md"} <= {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_in_the_checkout_leads_somewhere(name: str) -> None:
    for link in LINK.findall(prose(name)):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        page = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert page.exists(), link
        if anchor:
            assert anchor in anchors(page), link


def test_every_page_of_docs_is_linked_from_readme_or_an_index() -> None:
    linked = {
        ((ROOT / name).parent / link.partition("#")[0]).resolve()
        for name in ("README.md", "docs/adr/README.md")
        for link in LINK.findall(prose(name))
    }
    assert [name for name in NAMES if name.startswith("docs/") and (ROOT / name) not in linked] == []


def commands(name: str) -> Iterator[list[str]]:
    """Give the whole `recipes` commands of a page: the lines of its shell blocks."""
    blocks = [block for kind, block in FENCED.findall(text(name)) if kind == "sh"]
    return _commands(line for block in blocks for line in block.splitlines())


def mentions(name: str) -> Iterator[list[str]]:
    """Give the `recipes` commands in the text of a page, which may leave out what they need."""
    return _commands(SPAN.findall(prose(name)))


def _commands(codes: Iterable[str]) -> Iterator[list[str]]:
    for code in codes:
        found = re.match(r"(?:\w+=\S+ )*(?:\./bootstrap )?recipes ([^|>]+)", code)
        words = shlex.split(found[1], comments=True) if found else []
        if words and "…" not in words:
            yield words


def parse(command: Any, name: str, words: list[str], parent: Any = None) -> None:
    """Parse a command line as typer does; an unknown word or option raises, and nothing is run."""
    # an option such as --help or --install-completion would do its work while it is parsed
    bare = typer.Context(command)
    eager = {
        one for param in command.get_params(bare) if param.is_eager or param.callback for one in param.opts
    }
    context = command.make_context(name, [word for word in words if word not in eager], parent=parent)
    rest = [*context._protected_args, *context.args]
    if hasattr(command, "resolve_command") and rest:
        below_name, below, below_words = command.resolve_command(context, rest)
        parse(below, below_name, below_words, context)


def test_commands_are_found() -> None:
    found = list(commands("README.md"))
    assert ["build", "--variant", "no-nnpack", "--offline"] in found
    assert ["build", "--variant", "no-nnpack"] in found
    assert len([*found, *mentions("README.md")]) > 15


@pytest.mark.parametrize("name", NAMES)
def test_every_command_exists_with_its_options(name: str) -> None:
    for words in commands(name):
        parse(typer.main.get_command(cli.app), "recipes", words)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_in_the_text_exists_with_its_options(name: str) -> None:
    for words in mentions(name):
        try:
            parse(typer.main.get_command(cli.app), "recipes", words)
        except Exception as wrong:
            if type(wrong).__name__ not in {"MissingParameter", "NoArgsIsHelpError"}:
                raise AssertionError(words) from wrong


@pytest.mark.parametrize(
    "words", [["bild"], ["build", "--varriant", "x"], ["build"], ["store", "clean"], ["list", "x"]]
)
def test_a_command_that_does_not_exist_is_seen(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|missing|unexpected"):
        parse(typer.main.get_command(cli.app), "recipes", words)


def test_every_command_is_in_the_readme() -> None:
    root: Any = typer.main.get_command(cli.app)
    wanted = {
        (name, below) if below else (name,)
        for name, command in root.commands.items()
        if not command.hidden
        for below in getattr(command, "commands", {"": None})
    }
    documented = [*commands("README.md"), *mentions("README.md")]
    assert wanted <= {(words[0],) for words in documented} | {tuple(words[:2]) for words in documented}


def test_the_table_of_exit_codes_is_the_engines() -> None:
    table = rows("docs/debugging.md", below="## Exit codes")
    found = {(cells[1].strip("`"), int(cells[0])) for cells in table if "`" in cells[1]}
    assert found == {(kind.__name__, kind.exit_code) for kind in errors.RecipesError.__subclasses__()}


def test_every_environment_is_in_the_readme() -> None:
    table = rows("README.md", below="## What works")
    assert sorted(cells[0].strip("`") for cells in table) == sorted(
        path.stem for path in (ROOT / "environments").glob("*.yaml")
    )


def models(kind: Any, seen: set[type[pydantic.BaseModel]]) -> set[type[pydantic.BaseModel]]:
    """Give the models that a model, or a type, is made of."""
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        if kind not in seen:
            seen.add(kind)
            for field in kind.model_fields.values():
                models(field.annotation, seen)
    else:
        for part in get_args(kind):
            models(part, seen)
    return seen


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (spec.Environment, "docs/specs.md"),
        (spec.Recipe, "docs/specs.md"),
        (Lock, "docs/lock-format.md"),
    ],
)
def test_every_key_of_a_file_is_described(kind: type[pydantic.BaseModel], name: str) -> None:
    described = {
        code
        for line in text(name).splitlines()
        if line.startswith("| `")
        for code in SPAN.findall(line.split(" | ")[0])
    }
    keys = {key for model in models(kind, set()) for key in model.model_fields}
    assert len(keys) > 5
    assert sorted(keys - described) == []


def test_the_settings_file_in_the_readme_has_every_setting() -> None:
    block = next(block for kind, block in FENCED.findall(text("README.md")) if "timeout:" in block)
    assert {*yaml.safe_load(block)} == {*_Config.model_fields}


def test_what_the_readme_quotes_is_in_the_files() -> None:
    for quoted in re.findall(
        r"\[((?:environments|locks)/[^\]]+)\]\([^)]+\), abridged:\n\n```yaml\n(.*?)^```$",
        text("README.md"),
        re.MULTILINE | re.DOTALL,
    ):
        lines = {re.sub(r"\s+#.*", "", line) for line in text(quoted[0]).splitlines()}
        ours = [re.sub(r"\s+#.*", "", line) for line in quoted[1].splitlines()]
        assert [line for line in ours if line and line not in lines] == []


def test_every_module_is_in_the_architecture() -> None:
    described = {
        code
        for line in text("docs/ARCHITECTURE.md").splitlines()
        if line.startswith("| `")
        for code in SPAN.findall(line.split(" | ")[0])
    }
    top = ROOT / "recipes"
    modules = {
        ".".join(path.relative_to(top).with_suffix("").parts)
        for path in top.rglob("[!_]*.py")
        if not {"components", "commands"} & {*path.relative_to(top).parts}
    }
    assert sorted(modules - described) == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=~!;\[ ]", one)[0] for one in wanted}
    described = {
        name
        for line in text("docs/adr/0008-dependencies.md").splitlines()
        if line.startswith("| ")
        for name in line.split(" | ")[0].strip("| ").split(", ")
    }
    assert sorted(names - described) == []


def test_every_decision_is_in_the_index() -> None:
    pages = sorted(path.name for path in (ROOT / "docs/adr").glob("0*.md"))
    assert LINK.findall(text("docs/adr/README.md")) == pages
    for page in pages:
        assert text(f"docs/adr/{page}").startswith(f"# {int(page[:4])}. ")


def test_every_mark_is_described() -> None:
    marks = tomllib.loads(text("pyproject.toml"))["tool"]["pytest"]["ini_options"]["markers"]
    assert [cells[0] for cells in rows("CONTRIBUTING.md", below="## Tests")] == [
        f"`{mark.split(':')[0]}`" for mark in marks
    ]


@pytest.mark.parametrize("name", NAMES)
def test_no_registry_is_named(name: str) -> None:
    assert REGISTRY.findall(text(name)) == []


def test_a_registry_that_is_named_is_seen() -> None:
    assert REGISTRY.search("https://files." + "pythonhosted" + ".org/x")


@pytest.mark.parametrize("name", NAMES)
def test_the_pages_are_text_without_surprises(name: str) -> None:
    assert text(name).endswith("\n")
    assert [line for line in text(name).splitlines() if line != line.rstrip() or "\t" in line] == []
    assert not re.search(r"\b[Pp]lease\b", prose(name))
