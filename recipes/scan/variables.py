"""What CMake variables stand for, as far as a tree says it in literals."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from recipes.scan.cmakefile import Argument, Call
from recipes.scan.findings import Word

_REFERENCE = re.compile(r"\$\{([\w./+-]+)\}|@([A-Za-z_]\w*)@")
_OPEN = re.compile(r"\$\{|\$ENV\{|\$CACHE\{|@[A-Za-z_]\w*@")
_ESCAPE = re.compile(r"\\([^A-Za-z0-9])")
_NAME = re.compile(r"[A-Za-z_]\w*")
_KNOWN = {"CMAKE_COMMAND": "cmake", "GIT_EXECUTABLE": "git"}
_DEEPEST = 50  # variables within variables
_LONGEST = 1 << 16  # characters: `set(A ${B}${B})`, `set(B ${C}${C})` … doubles with each step
_WRITERS = {"list", "string", "math", "foreach", "cmake_parse_arguments", "execute_process", "file"}
_WRITERS |= {"get_filename_component", "find_program", "find_package", "cmake_path", "separate_arguments"}


class Variables:
    """The values that `set` gives variables in a tree.

    A variable has a value where its own file sets it to one literal only, else where the whole tree does.
    One that a parameter, a loop or a command such as `string` may write has none.
    """

    def __init__(self, calls: Iterable[Call]) -> None:
        self._set: dict[str, dict[str, set[Argument]]] = defaultdict(lambda: defaultdict(set))
        self._written: set[tuple[str, str]] = set()
        self._filled: dict[tuple[str, str], frozenset[Word]] = {}
        self._depth = 0
        for call in calls:
            if call.name == "set" and len(call.arguments) > 1:
                self._set[call.arguments[0].text][call.file].add(_value(call))
            elif call.name in _WRITERS:
                names = (one.text for one in call.arguments if not one.quoted)
                self._written |= {(name, call.file) for name in names if _NAME.fullmatch(name)}

    def words(self, call: Call) -> list[Word]:
        """Give a call's arguments with the variables filled in, unquoted lists taken apart."""
        found: list[Word] = []
        for one in call.arguments:
            word = self.fill(one, call)
            pieces = (
                [word.text] if one.quoted or word.unknown else [part for part in word.text.split(";") if part]
            )
            found.extend(Word(piece, word.unknown, word.candidates) for piece in pieces)
        return found

    def fill(self, argument: Argument, call: Call) -> Word:
        """Fill in what is known; what is not, stays as it is written."""
        if argument.verbatim:
            return Word(argument.text)
        candidates: list[str] = []

        def value(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            filled = self._values(name, call)
            if len(filled) == 1 and not (word := next(iter(filled))).unknown and len(word.text) < _LONGEST:
                return word.text
            candidates.extend(sorted(one.text for one in filled if not one.unknown))
            return _KNOWN.get(name, found[0]) if not filled else found[0]

        text = _ESCAPE.sub(r"\1", _REFERENCE.sub(value, argument.text))
        if len(text) > _LONGEST:
            return Word(argument.text, unknown=True)
        return Word(text, _OPEN.search(text) is not None, tuple(dict.fromkeys(candidates)))

    def _values(self, name: str, call: Call) -> frozenset[Word]:
        if name in call.parameters or (name, call.file) in self._written:
            return frozenset()
        key = (name, call.file)
        if key not in self._filled:
            self._filled[key] = frozenset()  # what `set(X "${X} …")` finds in itself
            by_file = self._set.get(name, {})
            given = by_file.get(call.file) or set().union(*by_file.values())
            self._depth += 1
            if self._depth <= _DEEPEST:
                self._filled[key] = frozenset(self.fill(one, call) for one in given)
            self._depth -= 1
        return self._filled[key]


def _value(call: Call) -> Argument:
    """Give what `set(NAME VALUE… [CACHE TYPE DOC [FORCE]] [PARENT_SCOPE])` sets, a list with semicolons."""
    words = call.arguments[1:]
    end = next((at for at, one in enumerate(words) if one.text in {"CACHE", "PARENT_SCOPE"}), len(words))
    values = words[:end]
    if len(values) == 1:
        return Argument(values[0].text, quoted=False, verbatim=values[0].verbatim)
    return Argument(";".join(one.text for one in values), quoted=False)
