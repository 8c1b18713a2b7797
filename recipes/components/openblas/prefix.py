"""Lay SciPy's OpenBLAS out as other programs look for it, with a `cblas.h` that has the usual names.

In the wheel, every function is called `scipy_cblas_sgemm` or the like, in the library and in `cblas.h`.
"""

import re
import shutil
import sys
from pathlib import Path

PLACES = {
    "scipy_openblas32/lib/*": "lib",
    "scipy_openblas32/include/*": "include",
    "*.dist-info/licenses/*": "share/doc/openblas",
}


def main() -> None:
    """Copy what the source has, and put the names in front of its `cblas.h`."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    for pattern, below in PLACES.items():
        (out / below).mkdir(parents=True)
        for path in source.glob(pattern):
            shutil.copyfile(path, out / below / path.name)
    header = out / "include/cblas.h"
    declared = header.read_text(encoding="utf-8")
    names = sorted(set(re.findall(r"\bscipy_(cblas_\w+)\s*\(", declared)))
    if "cblas_sgemm" not in names:
        sys.exit(f"{header.name} declares no scipy_cblas_sgemm: is it another OpenBLAS?")
    renamed = "".join(f"#define {name} scipy_{name}\n" for name in names)
    header.write_text(renamed + declared, encoding="utf-8")


main()
