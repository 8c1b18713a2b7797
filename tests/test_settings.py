from pathlib import Path

import pytest

from recipes import settings
from recipes.errors import SpecError, UsageError

HOME = {"HOME": "/home/me"}


def configured(home: Path, text: str) -> dict[str, str]:
    (home / ".config/tvm-recipes").mkdir(parents=True)
    (home / ".config/tvm-recipes/config.yaml").write_text(text)
    return {"HOME": str(home)}


@pytest.mark.parametrize(
    ("environ", "store", "where"),
    [
        (HOME, None, "/home/me/.cache/tvm-recipes"),
        ({**HOME, "XDG_CACHE_HOME": "/fast"}, None, "/fast/tvm-recipes"),
        ({**HOME, "XDG_CACHE_HOME": "relative"}, None, "/home/me/.cache/tvm-recipes"),
        ({**HOME, "XDG_CACHE_HOME": ""}, None, "/home/me/.cache/tvm-recipes"),
        ({**HOME, "RECIPES_STORE": "/s"}, None, "/s"),
        ({**HOME, "RECIPES_STORE": ""}, None, "/home/me/.cache/tvm-recipes"),
        ({**HOME, "RECIPES_STORE": "~/s"}, None, "/home/me/s"),
        ({"RECIPES_STORE": "/s"}, None, "/s"),
        ({"XDG_CACHE_HOME": "/fast"}, None, "/fast/tvm-recipes"),
        ({**HOME, "RECIPES_STORE": "/s"}, Path("/t"), "/t"),
        ({}, Path("/t"), "/t"),
    ],
)
def test_where_the_store_is(environ: dict[str, str], store: Path | None, where: str) -> None:
    assert settings.load(environ, store).store == Path(where)


def test_a_relative_store_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.load({"RECIPES_STORE": "a"}, None).store == tmp_path / "a"
    assert settings.load({}, Path("b")).store == tmp_path / "b"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({**HOME, "RECIPES_STORE": "~"}, "RECIPES_STORE: `~`: of home directories, only `~/` is known"),
        (
            {**HOME, "RECIPES_STORE": "~me/s"},
            "RECIPES_STORE: `~me/s`: of home directories, only `~/` is known",
        ),
        ({"RECIPES_STORE": "~/s"}, "RECIPES_STORE: `~/s`: HOME is not set"),
        ({"HOME": "", "RECIPES_STORE": "~/s"}, "RECIPES_STORE: `~/s`: HOME is not set"),
    ],
)
def test_a_home_that_nobody_knows(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings.load(environ, None)
    assert caught.value.message == message
    assert settings.load(environ, Path("/s")).store == Path("/s")


def test_no_place_for_the_store() -> None:
    with pytest.raises(UsageError) as caught:
        settings.load({"HOME": "", "XDG_CACHE_HOME": "relative"}, None)
    assert caught.value.message == "no place for the store: HOME is not set"
    assert caught.value.hint == "name one with `--store DIR` or RECIPES_STORE"


def test_the_file_is_below_what_the_environment_and_the_command_say(tmp_path: Path) -> None:
    environ = configured(tmp_path, "store: ~/in-file\ntimeout: 2.5\nmirrors: {https://a/: file:///m/}\n")
    assert settings.load(environ, None) == settings.Settings(
        tmp_path / "in-file", {"https://a/": "file:///m/"}, 2.5
    )
    assert settings.load({**environ, "RECIPES_STORE": "/s"}, None).store == Path("/s")
    assert settings.load({**environ, "RECIPES_STORE": "/s"}, Path("/t")).store == Path("/t")


def test_the_file_in_another_directory(tmp_path: Path) -> None:
    (tmp_path / "tvm-recipes").mkdir()
    (tmp_path / "tvm-recipes/config.yaml").write_text("timeout: 3")
    assert settings.load({**HOME, "XDG_CONFIG_HOME": str(tmp_path)}, None).timeout == 3


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "mirrors: {}", "timeout:"])
def test_a_file_that_says_nothing(tmp_path: Path, text: str) -> None:
    found = settings.load(configured(tmp_path, text), None)
    assert found == settings.Settings(tmp_path / ".cache/tvm-recipes", {}, 8.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stroe: /a", "1:1: stroe: unknown key `stroe`, did you mean `store`?"),
        ("store: a", "1:1: store: a path begins with `/` or `~/`"),
        ("store: ~other/a", "1:1: store: a path begins with `/` or `~/`"),
        ("timeout: soon", "1:1: timeout: expected a number, got `soon`"),
        ("timeout: 0", "1:1: timeout: input should be greater than 0"),
        ("timeout: 601", "1:1: timeout: input should be less than or equal to 600"),
        ("timeout: inf", "1:1: timeout: input should be less than or equal to 600"),
        ("mirrors: [a]", "1:1: mirrors: expected a mapping, got a list"),
        ("mirrors: {a: }", "1:11: mirrors.a: expected text, got nothing"),
        ("- a", "1:1: expected a mapping, got a list"),
        ("a: [", "1:5: not YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_wrong_file_is_named_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        settings.load(configured(tmp_path, text), None)
    assert caught.value.message == f"{tmp_path}/.config/tvm-recipes/config.yaml:{message}"


def test_mirrors_of_the_environment_lie_over_those_of_the_file(tmp_path: Path) -> None:
    environ = configured(tmp_path, "mirrors: {https://a/: https://b/, https://c/: https://d/}")
    more = {"RECIPES_MIRROR": " https://a/=https://e/\n\thttps://f/?x=https://g/?y=z "}
    assert settings.load({**environ, **more}, None).mirrors == {
        "https://a/": "https://e/",
        "https://c/": "https://d/",
        "https://f/?x": "https://g/?y=z",
    }


@pytest.mark.parametrize("pair", ["https://a/", "=https://a/", "https://a/=", "="])
def test_a_mirror_that_is_no_pair(pair: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings.load({**HOME, "RECIPES_MIRROR": f"x=y {pair}"}, None)
    assert caught.value.message == f"RECIPES_MIRROR: `{pair}` is not PREFIX=REPLACEMENT"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://a/x", "https://m/x"),
        ("https://a/deep/x", "file:///d/x"),
        ("https://a/", "https://m/"),
        ("https://a", "https://a"),
        ("http://a/x", "http://a/x"),
    ],
)
def test_the_longest_prefix_wins(url: str, asked: str) -> None:
    mirrors = {"https://a/": "https://m/", "https://a/deep/": "file:///d/", "https://a/d": "x", "": "y"}
    assert settings.Settings(Path("/s"), mirrors).rewrite(url) == asked
