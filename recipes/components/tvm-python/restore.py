"""Give TVM's Python package as upstream has it: a tree of a repository as it is, tilelang's restored.

tilelang 0.1.7 carries TVM v0.22.0 with 12 files of `python/tvm` changed. RESTORED holds what v0.22.0 has in
their place, as the hunks of `diff -U0` without the lines that go. The result is v0.22.0's very tree or
nothing: git's id of it is looked at.

Called with the source, the output directory and the inputs as JSON.
"""

import hashlib
import re
import shutil
import sys
from pathlib import Path

CARRIED = "3a5d54385f63ecda88f0b1f492ed987d651df287"  # git's id of tilelang 0.1.7's 3rdparty/tvm/python/tvm
UPSTREAM = "816642d813e997d34b0bf3c12e6dbd6daa81b0df"  # git rev-parse refs/tags/v0.22.0:python/tvm


def tree_id(directory: Path) -> bytes:
    """Give git's id of a directory, as the bytes of a tree object hold it."""
    entries = []
    for one in directory.iterdir():
        if one.is_dir():
            entries.append((f"{one.name}/", "40000", tree_id(one)))
        else:
            mode = "100755" if one.stat().st_mode & 0o100 else "100644"
            entries.append((one.name, mode, object_id("blob", one.read_bytes())))
    rows = (f"{mode} {name.rstrip('/')}\0".encode() + found for name, mode, found in sorted(entries))
    return object_id("tree", b"".join(rows))


def object_id(kind: str, data: bytes) -> bytes:
    """Give git's id of an object."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data).digest()  # noqa: S324 - git's


def restored(lines: list[str], hunks: list[str]) -> list[str]:
    """Put the lines of hunks in the place of those that their headers name."""
    out, position = [], 0
    for hunk in hunks:
        header, *added = hunk.splitlines(keepends=True)
        start, _, count = header.split()[0].lstrip("-").partition(",")
        begin = int(start) if count == "0" else int(start) - 1
        out += lines[position:begin] + [line[1:] for line in added]
        position = begin + int(count or 1)
    return out + lines[position:]


def main() -> None:
    """Make `tvm` in the output directory."""
    source, build = Path(sys.argv[1], "python/tvm"), Path(sys.argv[2], "tvm")
    shutil.copytree(source, build)
    if tree_id(build).hex() != CARRIED:
        return
    for part in re.split("^=== ", RESTORED, flags=re.MULTILINE)[1:]:
        head, *hunks = re.split("^@@ ", part, flags=re.MULTILINE)
        file = build / head.strip()
        file.write_text("".join(restored(file.read_text().splitlines(keepends=True), hunks)))
    found = tree_id(build).hex()
    if found != UPSTREAM:
        sys.exit(f"python/tvm is not v0.22.0's\n  expected  {UPSTREAM}\n  actual    {found}")


RESTORED = r"""
=== arith/analyzer.py
@@ -20 +20 @@
+from typing import Union
@@ -111,37 +111,16 @@
+        self._const_int_bound = _mod("const_int_bound")
+        self._const_int_bound_update = _mod("const_int_bound_update")
+        self._const_int_bound_is_bound = _mod("const_int_bound_is_bound")
+        self._bind = _mod("bind")
+        self._modular_set = _mod("modular_set")
+        self._simplify = _mod("Simplify")
+        self._rewrite_simplify = _mod("rewrite_simplify")
+        self._get_rewrite_simplify_stats = _mod("get_rewrite_simplify_stats")
+        self._reset_rewrite_simplify_stats = _mod("reset_rewrite_simplify_stats")
+        self._canonical_simplify = _mod("canonical_simplify")
+        self._int_set = _mod("int_set")
+        self._enter_constraint_context = _mod("enter_constraint_context")
+        self._can_prove_equal = _mod("can_prove_equal")
+        self._can_prove = _mod("can_prove")
+        self._get_enabled_extensions = _mod("get_enabled_extensions")
+        self._set_enabled_extensions = _mod("set_enabled_extensions")
@@ -251 +230 @@
+    def int_set(self, expr: tir.PrimExpr, dom_map: dict[tir.Var, IntSet]) -> IntSet:
=== base.py
@@ -29,2 +29,2 @@
+if not (sys.version_info[0] >= 3 and sys.version_info[1] >= 9):
+    PY3STATEMENT = "The minimal Python requirement is Python 3.9"
=== libinfo.py
@@ -56 +56 @@
+        dll_path.append(os.environ["TVM_LIBRARY_PATH"])
@@ -235,6 +235,3 @@
+        tvm_ffi_include_path = [
+            os.path.join(p, "3rdparty", "tvm-ffi", "include") for p in header_path
+        ]
=== runtime/support.py
@@ -21 +21 @@
+from typing import TypeVar
@@ -76 +76 @@
+def derived_object(cls: type[T]) -> type[T]:
=== script/ir_builder/tir/ir.py
@@ -23 +23 @@
+from typing import Any, Callable, Dict, List, Optional, Tuple, Union
@@ -1319,11 +1318,0 @@
@@ -1371,312 +1359,0 @@
@@ -1684,2 +1361,166 @@
+# pylint: disable=invalid-name
+int8 = func_gen(("Int8"))
+int16 = func_gen(("Int16"))
+int32 = func_gen(("Int32"))
+int64 = func_gen(("Int64"))
+int8x4 = func_gen(("Int8x4"))
+int16x4 = func_gen(("Int16x4"))
+int32x4 = func_gen(("Int32x4"))
+int64x4 = func_gen(("Int64x4"))
+int8x8 = func_gen(("Int8x8"))
+int16x8 = func_gen(("Int16x8"))
+int32x8 = func_gen(("Int32x8"))
+int64x8 = func_gen(("Int64x8"))
+int8x16 = func_gen(("Int8x16"))
+int16x16 = func_gen(("Int16x16"))
+int32x16 = func_gen(("Int32x16"))
+int64x16 = func_gen(("Int64x16"))
+int8x32 = func_gen(("Int8x32"))
+int16x32 = func_gen(("Int16x32"))
+int32x32 = func_gen(("Int32x32"))
+int64x32 = func_gen(("Int64x32"))
+int8x64 = func_gen(("Int8x64"))
+int16x64 = func_gen(("Int16x64"))
+int32x64 = func_gen(("Int32x64"))
+int64x64 = func_gen(("Int64x64"))
+
+uint8 = func_gen(("UInt8"))
+uint16 = func_gen(("UInt16"))
+uint32 = func_gen(("UInt32"))
+uint64 = func_gen(("UInt64"))
+uint8x4 = func_gen(("UInt8x4"))
+uint16x4 = func_gen(("UInt16x4"))
+uint32x4 = func_gen(("UInt32x4"))
+uint64x4 = func_gen(("UInt64x4"))
+uint8x8 = func_gen(("UInt8x8"))
+uint16x8 = func_gen(("UInt16x8"))
+uint32x8 = func_gen(("UInt32x8"))
+uint64x8 = func_gen(("UInt64x8"))
+uint8x16 = func_gen(("UInt8x16"))
+uint16x16 = func_gen(("UInt16x16"))
+uint32x16 = func_gen(("UInt32x16"))
+uint64x16 = func_gen(("UInt64x16"))
+uint8x32 = func_gen(("UInt8x32"))
+uint16x32 = func_gen(("UInt16x32"))
+uint32x32 = func_gen(("UInt32x32"))
+uint64x32 = func_gen(("UInt64x32"))
+uint8x64 = func_gen(("UInt8x64"))
+uint16x64 = func_gen(("UInt16x64"))
+uint32x64 = func_gen(("UInt32x64"))
+uint64x64 = func_gen(("UInt64x64"))
+
+float16 = func_gen(("Float16"))
+float32 = func_gen(("Float32"))
+float64 = func_gen(("Float64"))
+float16x2 = func_gen(("Float16x2"))
+float32x2 = func_gen(("Float32x2"))
+float64x2 = func_gen(("Float64x2"))
+float16x4 = func_gen(("Float16x4"))
+float32x4 = func_gen(("Float32x4"))
+float64x4 = func_gen(("Float64x4"))
+float16x8 = func_gen(("Float16x8"))
+float32x8 = func_gen(("Float32x8"))
+float64x8 = func_gen(("Float64x8"))
+float16x16 = func_gen(("Float16x16"))
+float32x16 = func_gen(("Float32x16"))
+float64x16 = func_gen(("Float64x16"))
+float16x32 = func_gen(("Float16x32"))
+float32x32 = func_gen(("Float32x32"))
+float64x32 = func_gen(("Float64x32"))
+float16x64 = func_gen(("Float16x64"))
+float32x64 = func_gen(("Float32x64"))
+float64x64 = func_gen(("Float64x64"))
+
+# Float8 variants
+float8_e3m4 = func_gen(("Float8E3M4"))
+float8_e3m4x2 = func_gen(("Float8E3M4x2"))
+float8_e3m4x4 = func_gen(("Float8E3M4x4"))
+float8_e3m4x8 = func_gen(("Float8E3M4x8"))
+float8_e3m4x16 = func_gen(("Float8E3M4x16"))
+float8_e3m4x32 = func_gen(("Float8E3M4x32"))
+float8_e3m4x64 = func_gen(("Float8E3M4x64"))
+
+float8_e4m3 = func_gen(("Float8E4M3"))
+float8_e4m3x2 = func_gen(("Float8E4M3x2"))
+float8_e4m3x4 = func_gen(("Float8E4M3x4"))
+float8_e4m3x8 = func_gen(("Float8E4M3x8"))
+float8_e4m3x16 = func_gen(("Float8E4M3x16"))
+float8_e4m3x32 = func_gen(("Float8E4M3x32"))
+float8_e4m3x64 = func_gen(("Float8E4M3x64"))
+
+float8_e4m3b11fnuz = func_gen(("Float8E4M3B11FNUZ"))
+float8_e4m3b11fnuzx2 = func_gen(("Float8E4M3B11FNUZx2"))
+float8_e4m3b11fnuzx4 = func_gen(("Float8E4M3B11FNUZx4"))
+float8_e4m3b11fnuzx8 = func_gen(("Float8E4M3B11FNUZx8"))
+float8_e4m3b11fnuzx16 = func_gen(("Float8E4M3B11FNUZx16"))
+float8_e4m3b11fnuzx32 = func_gen(("Float8E4M3B11FNUZx32"))
+float8_e4m3b11fnuzx64 = func_gen(("Float8E4M3B11FNUZx64"))
+
+float8_e4m3fn = func_gen(("Float8E4M3FN"))
+float8_e4m3fnx2 = func_gen(("Float8E4M3FNx2"))
+float8_e4m3fnx4 = func_gen(("Float8E4M3FNx4"))
+float8_e4m3fnx8 = func_gen(("Float8E4M3FNx8"))
+float8_e4m3fnx16 = func_gen(("Float8E4M3FNx16"))
+float8_e4m3fnx32 = func_gen(("Float8E4M3FNx32"))
+float8_e4m3fnx64 = func_gen(("Float8E4M3FNx64"))
+
+float8_e4m3fnuz = func_gen(("Float8E4M3FNUZ"))
+float8_e4m3fnuzx2 = func_gen(("Float8E4M3FNUZx2"))
+float8_e4m3fnuzx4 = func_gen(("Float8E4M3FNUZx4"))
+float8_e4m3fnuzx8 = func_gen(("Float8E4M3FNUZx8"))
+float8_e4m3fnuzx16 = func_gen(("Float8E4M3FNUZx16"))
+float8_e4m3fnuzx32 = func_gen(("Float8E4M3FNUZx32"))
+float8_e4m3fnuzx64 = func_gen(("Float8E4M3FNUZx64"))
+
+float8_e5m2 = func_gen(("Float8E5M2"))
+float8_e5m2x2 = func_gen(("Float8E5M2x2"))
+float8_e5m2x4 = func_gen(("Float8E5M2x4"))
+float8_e5m2x8 = func_gen(("Float8E5M2x8"))
+float8_e5m2x16 = func_gen(("Float8E5M2x16"))
+float8_e5m2x32 = func_gen(("Float8E5M2x32"))
+float8_e5m2x64 = func_gen(("Float8E5M2x64"))
+
+float8_e5m2fnuz = func_gen(("Float8E5M2FNUZ"))
+float8_e5m2fnuzx2 = func_gen(("Float8E5M2FNUZx2"))
+float8_e5m2fnuzx4 = func_gen(("Float8E5M2FNUZx4"))
+float8_e5m2fnuzx8 = func_gen(("Float8E5M2FNUZx8"))
+float8_e5m2fnuzx16 = func_gen(("Float8E5M2FNUZx16"))
+float8_e5m2fnuzx32 = func_gen(("Float8E5M2FNUZx32"))
+float8_e5m2fnuzx64 = func_gen(("Float8E5M2FNUZx64"))
+
+float8_e8m0fnu = func_gen(("Float8E8M0FNU"))
+float8_e8m0fnux2 = func_gen(("Float8E8M0FNUx2"))
+float8_e8m0fnux4 = func_gen(("Float8E8M0FNUx4"))
+float8_e8m0fnux8 = func_gen(("Float8E8M0FNUx8"))
+float8_e8m0fnux16 = func_gen(("Float8E8M0FNUx16"))
+float8_e8m0fnux32 = func_gen(("Float8E8M0FNUx32"))
+float8_e8m0fnux64 = func_gen(("Float8E8M0FNUx64"))
+
+# Float6 variants
+float6_e2m3fn = func_gen(("Float6E2M3FN"))
+float6_e2m3fnx2 = func_gen(("Float6E2M3FNx2"))
+float6_e2m3fnx4 = func_gen(("Float6E2M3FNx4"))
+float6_e2m3fnx8 = func_gen(("Float6E2M3FNx8"))
+float6_e2m3fnx16 = func_gen(("Float6E2M3FNx16"))
+float6_e2m3fnx32 = func_gen(("Float6E2M3FNx32"))
+float6_e2m3fnx64 = func_gen(("Float6E2M3FNx64"))
+
+float6_e3m2fn = func_gen(("Float6E3M2FN"))
+float6_e3m2fnx2 = func_gen(("Float6E3M2FNx2"))
+float6_e3m2fnx4 = func_gen(("Float6E3M2FNx4"))
+float6_e3m2fnx8 = func_gen(("Float6E3M2FNx8"))
+float6_e3m2fnx16 = func_gen(("Float6E3M2FNx16"))
+float6_e3m2fnx32 = func_gen(("Float6E3M2FNx32"))
+float6_e3m2fnx64 = func_gen(("Float6E3M2FNx64"))
+
+# Float4 variants
+float4_e2m1fn = func_gen(("Float4E2M1FN"))
+float4_e2m1fnx2 = func_gen(("Float4E2M1FNx2"))
+float4_e2m1fnx4 = func_gen(("Float4E2M1FNx4"))
+float4_e2m1fnx8 = func_gen(("Float4E2M1FNx8"))
+float4_e2m1fnx16 = func_gen(("Float4E2M1FNx16"))
+float4_e2m1fnx32 = func_gen(("Float4E2M1FNx32"))
+float4_e2m1fnx64 = func_gen(("Float4E2M1FNx64"))
+
+bfloat16 = func_gen(("BFloat16"))
+# pylint: enable=invalid-name
=== script/parser/core/doc.py
@@ -21 +20,0 @@
@@ -322,143 +320,0 @@
@@ -466,3 +321,0 @@
=== script/parser/core/evaluator.py
@@ -60 +59,0 @@
@@ -178,2 +177,2 @@
+            and node.func.attr not in ["reads", "writes", "match_buffer", "realize"]
+        ) or isinstance(node, (doc.BinOp, doc.UnaryOp, doc.Compare, doc.BoolOp, doc.IfExp)):
@@ -533 +532 @@
+    op: doc.AST,
@@ -540 +539 @@
+    op : doc.AST
@@ -551,3 +550 @@
+    op_type = type(op)  # pylint: disable=protected-access
=== script/parser/tir/parser.py
@@ -25 +25 @@
+from tvm.tir import Buffer, IterVar, PrimExpr, Var
@@ -141,3 +140,0 @@
@@ -261,15 +258,2 @@
+    else:
+        self.eval_assign(target=lhs, source=rhs, bind_value=bind_assign_value)
=== tir/buffer.py
@@ -198,2 +197,0 @@
=== tir/functor.py
@@ -364,0 +365 @@
+        print("visit_attr_stmt_", op)
@@ -376,0 +378 @@
+        print("visit_if_then_else_", op)
@@ -388,0 +391 @@
+        print("visit_let_stmt_", op)
@@ -400,0 +404 @@
+        print("visit_for_", op)
@@ -412,0 +417 @@
+        print("visit_while_", op)
@@ -424,0 +430 @@
+        print("visit_allocate_", op)
@@ -436,0 +443 @@
+        print("visit_allocate_const_", op)
@@ -448,0 +456 @@
+        print("visit_decl_buffer_", op)
@@ -460,0 +469 @@
+        print("visit_buffer_store_", op)
@@ -472,0 +482 @@
+        print("visit_buffer_realize_", op)
@@ -484,0 +495 @@
+        print("visit_assert_stmt_", op)
@@ -496,0 +508 @@
+        print("visit_seq_stmt_", op)
@@ -508,0 +521 @@
+        print("visit_evaluate_", op)
@@ -520,0 +534 @@
+        print("visit_block_", op)
@@ -532,0 +547 @@
+        print("visit_block_realize_", op)
=== tir/op.py
@@ -573,0 +574 @@
+
@@ -577 +578 @@
+    elif isinstance(obj, BufferLoad):
@@ -1887 +1887,0 @@
=== tir/schedule/schedule.py
@@ -1913,2 +1913 @@
+        self, block: Union[BlockRV, str], buffer: Union[Tuple[str, int], str, Buffer]
@@ -1946,3 +1944,0 @@
@@ -2004 +2000 @@
+            self, block, buffer_index, buffer_index_type_enum
"""

if __name__ == "__main__":
    main()
