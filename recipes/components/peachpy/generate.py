"""Write PeachPy's instruction modules (peachpy/x86_64/avx.py and the rest) from the opcodes data base.

Called with the source, the output directory and the inputs as JSON. It does what `setup.py generate`
does, without setuptools: that needs a release older than 82 (opcodes imports pkg_resources) and starts
`pip wheel Opcodes` from the network where it sees no metadata of it.
"""

import importlib.util
import json
import os
import shutil
import sys
import types
from typing import BinaryIO


def resource_stream(package: str, name: str) -> BinaryIO:
    """Stand for pkg_resources.resource_stream, all that opcodes uses of it."""
    place = importlib.util.find_spec(package).origin
    return open(os.path.join(os.path.dirname(place), name), "rb")  # noqa: PTH118, PTH120, PTH123


def main() -> None:
    """Generate, unless the modules are in the source already; what is not the package is left behind."""
    source, out, inputs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if not os.path.exists(f"{source}/peachpy/x86_64/avx.py"):  # noqa: PTH110
        sys.path[:0] = [source, inputs["six"], inputs["opcodes"]]
        sys.modules["pkg_resources"] = types.SimpleNamespace(resource_stream=resource_stream)
        from codegen import x86_64  # noqa: PLC0415 - reads the whole data base

        x86_64.main(source)
    shutil.copytree(f"{source}/peachpy", f"{out}/peachpy")
    shutil.copy(f"{source}/LICENSE.rst", out)


main()
