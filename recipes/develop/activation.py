"""What entering an environment changes: the variables, and what interactive shells read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recipes.develop.layout import Layout

MARK = "RECIPES_ENVIRONMENT"  # names the variant in its shells

_PROMPT = "({variant}) "

_BASH = """\
# read by `bash --rcfile`: what bash reads otherwise, then the prompt's mark and the PATH again
[ ! -f /etc/bash.bashrc ] || . /etc/bash.bashrc
[ ! -f ~/.bashrc ] || . ~/.bashrc
PS1='{prompt}'"${{PS1-\\$ }}"
PATH=$RECIPES_PATH
"""

_ZSH = """\
# read by zsh, whose ZDOTDIR this directory is
ZDOTDIR=${{RECIPES_ZDOTDIR:-$HOME}}
[ ! -f "$ZDOTDIR/.zshrc" ] || . "$ZDOTDIR/.zshrc"
PS1='{prompt}'"$PS1"
PATH=$RECIPES_PATH
"""

_SH = """\
# read by sh, whose ENV this file is
PS1='{prompt}$ '
PATH=$RECIPES_PATH
"""


@dataclass(frozen=True)
class Tvm:
    """Which TVM is worked on: its source at `home`, a person's checkout or the locked one.

    `modules` are directories of Python modules in it; `library` is the directory with its libraries, None
    where nothing is built, and `runtime_only` says that the compiler is not among them.
    """

    home: str
    modules: tuple[str, ...] = ()
    library: str | None = None
    runtime_only: bool = False


def shell_files(variant: str) -> dict[str, str]:
    """Give the files below etc/ that interactive shells read."""
    prompt = _PROMPT.format(variant=variant)
    texts = {"etc/bashrc": _BASH, "etc/zsh/.zshrc": _ZSH, "etc/shrc": _SH}
    return {path: text.format(prompt=prompt) for path, text in texts.items()}


def variables(made: Layout, prefix: str, env: Mapping[str, str], tvm: Tvm) -> dict[str, str]:
    """Give the variables that entering sets, over those of `env`."""
    roots = [f"{prefix}/result", *(f"{prefix}/inputs/{name}" for name in sorted(made.inputs))]
    modules = [*tvm.modules, *(f"{prefix}/imports/{name}/python" for name in sorted(made.imports))]
    found = {
        MARK: made.variant,
        "PATH": _joined([f"{prefix}/bin"], env.get("PATH")),
        "VIRTUAL_ENV": prefix,
        "TVM_HOME": tvm.home,
        "PYTHONPATH": _joined(modules, env.get("PYTHONPATH")),
        "PYTHONNOUSERSITE": "1",
        "PYTHONPYCACHEPREFIX": f"{prefix}/cache/bytecode",
        "CC": f"{prefix}/bin/cc",
        "CXX": f"{prefix}/bin/c++",
        "AR": f"{prefix}/bin/ar",
        "RANLIB": f"{prefix}/bin/ranlib",
        "CMAKE_GENERATOR": "Ninja",
        "CMAKE_PREFIX_PATH": _joined(roots, env.get("CMAKE_PREFIX_PATH")),
    }
    if tvm.library is not None:
        found["TVM_LIBRARY_PATH"] = tvm.library
        found |= {"TVM_USE_RUNTIME_LIB": "1"} if tvm.runtime_only else {}
    return found


def _joined(ours: Sequence[str], theirs: str | None) -> str:
    # a shell within a shell has ours already; an empty entry would be the current directory
    rest = [one for one in (theirs or "").split(":") if one and one not in ours]
    return ":".join([*ours, *rest])


def interactive(shell: str, prefix: str, env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Give the argv of an interactive shell with a mark in its prompt, and the variables that this takes."""
    name = shell.rpartition("/")[2]
    if name == "bash":
        return [shell, "--rcfile", f"{prefix}/etc/bashrc", "-i"], {}
    if name == "zsh":
        theirs = {"RECIPES_ZDOTDIR": env["ZDOTDIR"]} if "ZDOTDIR" in env else {}
        return [shell, "-i"], {"ZDOTDIR": f"{prefix}/etc/zsh", **theirs}
    if name in ("sh", "dash", "ksh"):
        return [shell, "-i"], {"ENV": f"{prefix}/etc/shrc"}
    return [shell], {}
