"""Assemble NNPACK's x86-64 kernels with PeachPy, the same bytes on every run.

Called with the source, the output directory and the inputs as JSON. Beside the objects, it leaves
`bin/python`, which NNPACK's CMake takes for the interpreter: it hands out the object that was asked for.
"""

import json
import os
import re
import runpy
import sys
from pathlib import Path

FLAGS = ("-mabi=sysv", "-g4", "-mimage-format=elf")  # as in NNPACK's CMakeLists.txt

STAND_IN = """\
#!/bin/sh
# Stands for the Python interpreter in NNPACK's CMake: the kernels are assembled already.
# FindPythonInterp asks for the version with -c; every other call is `-m peachpy.x86_64 ... -o OBJECT SOURCE`.
if [ "$1" = -c ]; then
    printf '3;11;0'
    exit
fi
while [ $# -gt 1 ]; do
    if [ "$1" = -o ]; then
        object=$2
    fi
    shift
done
kernel=${0%/bin/python}/kernels/src/${1#*/src/src/}.o
for cmake in /toolchain/cmake/cmake/data/bin/cmake /toolchain/conda/bin/cmake; do
    if [ -x $cmake ]; then
        exec $cmake -E copy "$kernel" "$object"
    fi
done
exec cp "$kernel" "$object"     # without a sandbox
"""


class Ordered(dict):
    """A set that keeps the order of insertion."""

    def add(self, one: object) -> None:
        """Add an element."""
        self[one] = None


def assemble(source: Path, kernel: str, target: Path, fp16: str) -> None:
    """Assemble one kernel, in this process."""
    import peachpy.name  # noqa: PLC0415 - the path to it is set by main

    # PeachPy names unnamed constants in the order of a set of objects that hash by address: with the
    # set's order, the symbols __local0, __local1 ... of six kernels change from run to run
    peachpy.name.set = Ordered
    include = [f"-I{source}/src", f"-I{source}/src/x86_64-fma", f"-I{fp16}/include"]
    sys.argv = ["peachpy.x86_64", *FLAGS, *include, "-o", str(target), str(source / kernel)]
    runpy.run_module("peachpy.x86_64", run_name="__main__", alter_sys=True)


def assemble_all(source: Path, kernels: list[str], out: Path, fp16: str) -> None:
    """Assemble kernels, one process each (PeachPy keeps state), as many at once as there are processors."""
    running = set()
    failed = 0
    for done, kernel in enumerate(kernels, 1):
        if len(running) == len(os.sched_getaffinity(0)):
            failed |= reap(running)
        target = out / "kernels" / f"{kernel}.o"
        target.parent.mkdir(parents=True, exist_ok=True)
        print(f"[{done}/{len(kernels)}] PeachPy {kernel}", flush=True)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assemble(source, kernel, target, fp16)
                code = 0
            except SystemExit as ended:
                code = int(bool(ended.code))
            except BaseException:  # noqa: BLE001 - a child never returns into its parent's loop
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        running.add(child)
    while running:
        failed |= reap(running)
    sys.exit(failed)


def reap(running: set[int]) -> int:
    """Wait for one child; give 1 if it failed."""
    child, status = os.wait()
    running.discard(child)
    return int(status != 0)


def main() -> None:
    """Assemble every kernel that NNPACK's CMakeLists.txt names."""
    source, out, inputs = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    sys.path[:0] = [inputs["peachpy"], inputs["six"]]
    named = re.findall(r"src/x86_64-fma/[\w/.-]+\.py\b", (source / "CMakeLists.txt").read_text())
    stand_in = out / "bin/python"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    assemble_all(source, sorted(set(named)), out, inputs["fp16"])


main()
