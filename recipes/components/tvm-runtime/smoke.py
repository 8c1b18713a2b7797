"""Use TVM's runtime as a program would: load it, list its functions, run some, compare with numpy.

Called with the store path and the build's CMake options as JSON. The standard library and numpy only:
TVM's C interface is called through ctypes, that of tvm-ffi (v0.20 and newer) or the older one.
"""

import ctypes
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EXPECTED = {
    "tvm.contrib.sort.argsort",
    "tvm.contrib.random.uniform",
    "runtime.GetDeviceAttr",
}


class Device(ctypes.Structure):
    """DLPack's DLDevice."""

    _fields_ = [("kind", ctypes.c_int32), ("id", ctypes.c_int32)]


class DataType(ctypes.Structure):
    """DLPack's DLDataType."""

    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class Tensor(ctypes.Structure):
    """DLPack's DLTensor, which both interfaces take."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", Device),
        ("ndim", ctypes.c_int32),
        ("dtype", DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]


def tensor(array: np.ndarray) -> Tensor:
    """Describe an array to TVM; the array must outlive the description."""
    code = {"i": 0, "u": 1, "f": 2}[array.dtype.kind]
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    dtype = DataType(code, array.dtype.itemsize * 8, 1)
    return Tensor(array.ctypes.data, Device(1, 0), array.ndim, dtype, shape, None, 0)


class Ffi:
    """tvm-ffi's C interface, of v0.20 and newer (tvm/ffi/c_api.h)."""

    class Value(ctypes.Union):
        _fields_ = [
            ("int", ctypes.c_int64),
            ("float", ctypes.c_double),
            ("pointer", ctypes.c_void_p),
            ("small", ctypes.c_char * 8),
        ]

    class Any(ctypes.Structure):
        pass

    class Bytes(ctypes.Structure):
        _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]

    INT, FLOAT, TENSOR, RAW_STRING, SMALL_STRING = 1, 3, 7, 8, 11
    HEADER = 24  # bytes of a TVMFFIObject, behind which a string on the heap has its TVMFFIByteArray

    def __init__(self, lib: ctypes.CDLL) -> None:
        self.lib = lib

    def _get(self, name: str) -> ctypes.c_void_p:
        found = ctypes.c_void_p()
        text = ctypes.create_string_buffer(name.encode())
        asked = self.Bytes(ctypes.addressof(text), len(name))
        code = self.lib.TVMFFIFunctionGetGlobal(ctypes.byref(asked), ctypes.byref(found))
        if code or not found.value:
            raise LookupError(name)
        return found

    def names(self) -> set[str]:
        """List the global functions: a function that gives the count for -1 and a name for an index."""
        listing = self._call(self._get("ffi.FunctionListGlobalNamesFunctor"), [])
        handle = ctypes.c_void_p(listing.v.pointer)
        count = self._call(handle, [-1]).v.int
        return {self._text(self._call(handle, [at])) for at in range(count)}

    def _text(self, value: "Ffi.Any") -> str:
        if value.kind == self.SMALL_STRING:
            return value.v.small[: value.small_length].decode()
        cell = self.Bytes.from_address(value.v.pointer + self.HEADER)
        return ctypes.string_at(cell.data, cell.size).decode()

    def call(self, name: str, *args: object) -> object:
        """Call a global function with integers, floats, strings and arrays."""
        return self._call(self._get(name), list(args)).v.int

    def _call(self, function: ctypes.c_void_p, args: list[object]) -> "Ffi.Any":
        kept = [tensor(one) if isinstance(one, np.ndarray) else one for one in args]
        packed = (self.Any * max(len(args), 1))()
        for place, one in zip(packed, kept, strict=False):
            self._pack(place, one)
        result = self.Any()
        code = self.lib.TVMFFIFunctionCall(function, packed, len(args), ctypes.byref(result))
        if code:
            raise RuntimeError(f"a function of TVM failed with code {code}")
        return result

    def _pack(self, place: "Ffi.Any", one: object) -> None:
        if isinstance(one, int):
            place.kind, place.v.int = self.INT, one
        elif isinstance(one, float):
            place.kind, place.v.float = self.FLOAT, one
        elif isinstance(one, bytes):
            place.kind, place.v.pointer = self.RAW_STRING, ctypes.cast(one, ctypes.c_void_p).value
        else:
            place.kind, place.v.pointer = self.TENSOR, ctypes.addressof(one)


Ffi.Any._fields_ = [("kind", ctypes.c_int32), ("small_length", ctypes.c_uint32), ("v", Ffi.Value)]


class Packed:
    """TVM's C interface up to v0.19 (tvm/runtime/c_runtime_api.h)."""

    INT, FLOAT, NULL, TENSOR, STRING = 0, 2, 4, 7, 11

    class Value(ctypes.Union):
        _fields_ = [("int", ctypes.c_int64), ("float", ctypes.c_double), ("pointer", ctypes.c_void_p)]

    def __init__(self, lib: ctypes.CDLL) -> None:
        self.lib = lib

    def names(self) -> set[str]:
        """List the global functions."""
        count, array = ctypes.c_int(), ctypes.POINTER(ctypes.c_char_p)()
        assert self.lib.TVMFuncListGlobalNames(ctypes.byref(count), ctypes.byref(array)) == 0
        return {array[at].decode() for at in range(count.value)}

    def call(self, name: str, *args: object) -> object:
        """Call a global function with integers, floats, strings and arrays."""
        function = ctypes.c_void_p()
        assert self.lib.TVMFuncGetGlobal(name.encode(), ctypes.byref(function)) == 0
        kept = [tensor(one) if isinstance(one, np.ndarray) else one for one in args]
        values, kinds = (self.Value * len(args))(), (ctypes.c_int * len(args))()
        for at, one in enumerate(kept):
            kinds[at] = self._pack(values[at], one)
        result, kind = self.Value(), ctypes.c_int()
        code = self.lib.TVMFuncCall(
            function, values, kinds, len(args), ctypes.byref(result), ctypes.byref(kind)
        )
        if code:
            self.lib.TVMGetLastError.restype = ctypes.c_char_p
            raise RuntimeError(self.lib.TVMGetLastError().decode())
        return result.int

    def _pack(self, value: "Packed.Value", one: object) -> int:
        if one is None:
            return self.NULL
        if isinstance(one, int):
            value.int = one
            return self.INT
        if isinstance(one, float):
            value.float = one
            return self.FLOAT
        if isinstance(one, bytes):
            value.pointer = ctypes.cast(one, ctypes.c_void_p).value
            return self.STRING
        value.pointer = ctypes.addressof(one)
        return self.TENSOR


def check_sort(tvm: "Ffi | Packed") -> None:
    """Sort rows of distinct numbers both ways; the order must be numpy's."""
    rows = np.random.default_rng(0).permuted(np.arange(4 * 97, dtype=np.float32).reshape(4, 97), axis=1)
    for ascending in (True, False):
        order = np.zeros(rows.shape, np.int32)
        tvm.call("tvm.contrib.sort.argsort", rows, order, 1, int(ascending))
        expected = np.argsort(rows if ascending else -rows, axis=1)
        assert np.array_equal(order, expected), "argsort does not sort as numpy does"


def check_random(tvm: "Ffi | Packed") -> None:
    """Draw uniform numbers: in their range, with numpy's mean and spread (TVM seeds by the clock).

    Of 100 000 numbers, the mean and spread are off by 0.02 once in more than 10^12 draws.
    """
    drawn = np.zeros(100_000, np.float32)
    tvm.call("tvm.contrib.random.uniform", 2.0, 5.0, drawn)
    reference = np.random.default_rng(7).uniform(2, 5, drawn.size)
    assert drawn.min() >= 2, "uniform leaves its range"
    assert drawn.max() <= 5, "uniform leaves its range"
    assert abs(drawn.mean() - reference.mean()) < 0.02, "uniform has another mean than numpy's"
    assert abs(drawn.std() - reference.std()) < 0.02, "uniform has another spread than numpy's"


# NNPACK's algorithms, by the numbers of enum nnp_convolution_algorithm
AUTO, FT8X8, FT16X16, WT8X8, IMPLICIT_GEMM, DIRECT = range(6)
NNPACK = {
    "tvm.contrib.nnpack.convolution_inference",
    "tvm.contrib.nnpack.convolution_inference_weight_transform",
    "tvm.contrib.nnpack.convolution_inference_without_weight_transform",
    "tvm.contrib.nnpack.fully_connected_inference",
    "contrib.nnpack._initialize",
}
TOLERANCE = 2e-5  # of the largest result; in float32, NNPACK's transforms are off by up to 5e-6


@dataclass
class Convolution:
    """One case. Images and kernels are square: TVM swaps height and width (its nnp_size arguments)."""

    algorithm: int
    size: int
    kernel: int
    padding: int = 0
    stride: int = 1
    channels: tuple[int, int] = (16, 24)
    batch: int = 1
    threads: int = 1
    bias: bool = True


CONVOLUTIONS = (
    Convolution(AUTO, 28, 3, padding=1),
    Convolution(FT8X8, 28, 5, padding=2),
    Convolution(FT16X16, 40, 3, padding=1),
    Convolution(FT16X16, 32, 7, padding=3, channels=(3, 8)),
    Convolution(WT8X8, 28, 3, padding=1),
    Convolution(WT8X8, 14, 3, batch=2, threads=2),
    Convolution(IMPLICIT_GEMM, 28, 3, padding=1, stride=2),
    Convolution(IMPLICIT_GEMM, 28, 5, padding=2, bias=False),
    Convolution(DIRECT, 28, 1),
)


def aligned(shape: tuple[int, ...], numbers: np.ndarray | None = None) -> np.ndarray:
    """Make an array that begins at a multiple of 64 bytes: NNPACK's kernels load whole lines."""
    count = math.prod(shape)
    room = np.zeros(count + 16, np.float32)
    first = (-room.ctypes.data % 64) // 4
    array = room[first : first + count].reshape(shape)
    if numbers is not None:
        array[:] = numbers
    return array


def expected(image: np.ndarray, kernel: np.ndarray, bias: np.ndarray, case: Convolution) -> np.ndarray:
    """Convolve in float64."""
    around = ((0, 0), (0, 0), (case.padding, case.padding), (case.padding, case.padding))
    padded = np.pad(image.astype(np.float64), around)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (case.kernel, case.kernel), axis=(2, 3))
    windows = windows[:, :, :: case.stride, :: case.stride]
    return np.einsum("bchwij,ocij->bohw", windows, kernel.astype(np.float64)) + bias[None, :, None, None]


def close(actual: np.ndarray, wanted: np.ndarray, what: object, tolerance: float = TOLERANCE) -> None:
    """Compare with a tolerance, relative to the largest result."""
    error = np.abs(actual - wanted).max() / np.abs(wanted).max()
    assert error < tolerance, f"{what}: off by {error:.1e} of the largest result"


def check_convolution(tvm: "Ffi | Packed", case: Convolution) -> None:
    """Convolve; with the Winograd transform also with the weights transformed beforehand."""
    random = np.random.default_rng(0)
    into, out = case.channels
    shape = (case.batch, into, case.size, case.size)
    image = aligned(shape, random.standard_normal(shape))
    shape = (out, into, case.kernel, case.kernel)
    kernel = aligned(shape, random.standard_normal(shape))
    bias = aligned((out,), random.standard_normal(out) if case.bias else None)
    wanted = expected(image, kernel, bias, case)
    where = (*[case.padding] * 4, case.stride, case.stride, case.threads, case.algorithm)
    result = aligned(wanted.shape)
    given = bias if case.bias else None
    tvm.call("tvm.contrib.nnpack.convolution_inference", image, kernel, given, result, *where)
    close(result, wanted, case)
    if case.algorithm == WT8X8:
        transformed, result = aligned((out, into, 8, 8)), aligned(wanted.shape)
        prefix = "tvm.contrib.nnpack.convolution_inference"
        tvm.call(f"{prefix}_weight_transform", kernel, transformed, case.threads, case.algorithm)
        tvm.call(f"{prefix}_without_weight_transform", image, transformed, given, result, *where)
        close(result, wanted, f"{case}, weights transformed")


def check_nnpack(tvm: "Ffi | Packed") -> None:
    """Use each function of NNPACK that TVM has."""
    status = tvm.call("contrib.nnpack._initialize")
    why = "50 is unsupported hardware: the x86-64 kernels need AVX2 and FMA3"
    assert status == 0, f"NNPACK cannot run on this processor: nnp_initialize says {status} ({why})"
    for case in CONVOLUTIONS:
        check_convolution(tvm, case)
    random = np.random.default_rng(1)
    vector, matrix = (
        aligned((96,), random.standard_normal(96)),
        aligned((40, 96), random.standard_normal((40, 96))),
    )
    result = aligned((40,))
    tvm.call("tvm.contrib.nnpack.fully_connected_inference", vector, matrix, result, 1)
    close(result, matrix.astype(np.float64) @ vector.astype(np.float64), "fully connected")
    print(f"NNPACK: {len(CONVOLUTIONS)} convolutions and a fully connected layer agree with numpy in float64")


CBLAS = {
    "tvm.contrib.cblas.matmul",
    "tvm.contrib.cblas.batch_matmul",
    "tvm.contrib.cblas.batch_matmul_iterative",
}
DNNL = {"tvm.contrib.dnnl.matmul", "tvm.contrib.dnnl.conv2d", "runtime.DNNLJSONRuntimeCreate"}
TOLERANCES = {np.float32: TOLERANCE, np.float64: 1e-13}
TRANSPOSED = ((False, False), (False, True), (True, False), (True, True))


def check_matmul(tvm: "Ffi | Packed", name: str, kind: type, batch: tuple[int, ...] = ()) -> None:
    """Multiply matrices, each of them as it is and transposed; with alpha and beta as well."""
    random = np.random.default_rng(2)
    for first, second in TRANSPOSED:
        a = random.standard_normal((*batch, *((96, 40) if first else (40, 96)))).astype(kind)
        b = random.standard_normal((*batch, *((56, 96) if second else (96, 56)))).astype(kind)
        result = random.standard_normal((*batch, 40, 56)).astype(kind)
        left, right = (
            (one.swapaxes(-1, -2) if turned else one).astype(np.float64)
            for one, turned in ((a, first), (b, second))
        )
        wanted = left @ right
        scaled = 0.5 * wanted + 2.0 * result
        what = f"{name} of {np.dtype(kind)}, transposed {first} and {second}"
        tvm.call(name, a, b, result, int(first), int(second), 0.5, 2.0)
        close(result, scaled, f"{what}, with alpha and beta", TOLERANCES[kind])
        tvm.call(name, a, b, result, int(first), int(second))
        close(result, wanted, what, TOLERANCES[kind])


def check_cblas(tvm: "Ffi | Packed") -> None:
    """Use each function of BLAS that TVM has."""
    for kind in TOLERANCES:
        check_matmul(tvm, "tvm.contrib.cblas.matmul", kind)
        check_matmul(tvm, "tvm.contrib.cblas.batch_matmul", kind, batch=(3,))
        check_matmul(tvm, "tvm.contrib.cblas.batch_matmul_iterative", kind, batch=(3,))
    print("BLAS: products of matrices, in float32 and float64, agree with numpy in float64")


DNNL_CONVOLUTIONS = (
    Convolution(DIRECT, 28, 3, padding=1),
    Convolution(DIRECT, 28, 5, padding=2, stride=2, channels=(3, 8)),
    Convolution(DIRECT, 15, 1, batch=2),
    Convolution(DIRECT, 14, 3),
)


def check_dnnl_convolution(tvm: "Ffi | Packed", case: Convolution, *, last: bool) -> None:
    """Convolve an image that is not square, channels before or behind height and width."""
    random = np.random.default_rng(3)
    into, out = case.channels
    image = random.standard_normal((case.batch, into, case.size, case.size + 6)).astype(np.float32)
    kernel = random.standard_normal((out, into, case.kernel, case.kernel)).astype(np.float32)
    wanted = expected(image, kernel, np.zeros(out), case)
    if last:
        image, kernel, wanted = (
            image.transpose(0, 2, 3, 1).copy(),
            kernel.transpose(2, 3, 1, 0).copy(),
            wanted.transpose(0, 2, 3, 1),
        )
    result = np.zeros(wanted.shape, np.float32)
    groups, in_float, out_float = 1, 1, 1
    where = (*[case.padding] * 4, case.stride, case.stride, groups, int(last), in_float, out_float)
    tvm.call("tvm.contrib.dnnl.conv2d", image, kernel, result, *where)
    close(result, wanted, f"oneDNN's {case}, channels last: {last}")


def check_dnnl(tvm: "Ffi | Packed") -> None:
    """Use each function of oneDNN that TVM has for single calls."""
    check_matmul(tvm, "tvm.contrib.dnnl.matmul", np.float32)
    for case in DNNL_CONVOLUTIONS:
        check_dnnl_convolution(tvm, case, last=False)
        check_dnnl_convolution(tvm, case, last=True)
    count = 2 * len(DNNL_CONVOLUTIONS)
    print(f"oneDNN: products of matrices and {count} convolutions agree with numpy in float64")


@dataclass
class Backend:
    """A library that TVM may be built with: by which settings of which option, and what then is there."""

    word: str  # is in the name of each of its functions, and in no other's
    option: str
    settings: tuple[str, ...]
    functions: set[str]
    check: Callable[["Ffi | Packed"], None]

    def run(self, tvm: "Ffi | Packed", names: set[str], options: dict[str, str]) -> None:
        """Check that its functions are right, or that there are none."""
        found = sorted(name for name in names if self.word in name.lower())
        if options.get(self.option, "OFF") not in self.settings:
            assert not found, f"built without {self.option}, and there is {found}"
            return
        print("\n".join(found))
        missing = self.functions - names
        assert not missing, f"not registered: {sorted(missing)}"
        self.check(tvm)


BACKENDS = (
    Backend("nnpack", "USE_NNPACK", ("ON",), NNPACK, check_nnpack),
    Backend("cblas", "USE_BLAS", ("openblas", "atlas", "blas"), CBLAS, check_cblas),
    Backend("dnnl", "USE_DNNL", ("ON", "JSON"), DNNL, check_dnnl),
)


def main() -> None:
    """Run the checks; an assertion that fails is the process's exit code."""
    place, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    lib = ctypes.CDLL(str(place / "lib/libtvm_runtime.so"), ctypes.RTLD_GLOBAL)
    ffi = place / "lib/libtvm_ffi.so"
    tvm = Ffi(ctypes.CDLL(str(ffi), ctypes.RTLD_GLOBAL)) if ffi.exists() else Packed(lib)
    names = tvm.names()
    missing = EXPECTED - names
    assert not missing, f"not registered: {sorted(missing)}"
    check_sort(tvm)
    check_random(tvm)
    print(f"{len(names)} functions; argsort and uniform agree with numpy")
    for backend in BACKENDS:
        backend.run(tvm, names, options)


if __name__ == "__main__":
    main()
