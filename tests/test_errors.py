import pytest

from recipes import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.RecipesError, 1),
        (errors.UsageError, 2),
        (errors.SpecError, 3),
        (errors.LockError, 4),
        (errors.FetchError, 5),
        (errors.IntegrityError, 6),
        (errors.ToolchainError, 7),
        (errors.SandboxError, 8),
        (errors.BuildError, 9),
        (errors.VerifyError, 10),
        (errors.StoreError, 1),
        (errors.UnjudgedError, 1),
    ],
)
def test_every_class_has_its_exit_code(kind: type[errors.RecipesError], code: int) -> None:
    assert kind.exit_code == code
    assert issubclass(kind, errors.RecipesError)


def test_every_class_is_in_the_table_above() -> None:
    assert len(errors.RecipesError.__subclasses__()) == 11


def test_the_hint_stands_below_the_message() -> None:
    error = errors.LockError("a\n  expected  b", hint="`c`")
    assert str(error) == "a\n  expected  b\n\nhint: `c`"
    assert (error.message, error.hint) == ("a\n  expected  b", "`c`")


def test_without_a_hint_there_is_the_message_only() -> None:
    assert str(errors.FetchError("a")) == "a"
    assert errors.FetchError("a").hint is None
