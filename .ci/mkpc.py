"""Makes a pkg-config view of the Arrow and Parquet libraries inside of the pyarrow wheel.

    python mkpc.py OUT      writes OUT/lib (links to the libraries) and OUT/pkgconfig (arrow.pc, parquet.pc)

Run with the Python that has pyarrow. Files are replaced only when they change, so that nothing is rebuilt without need.
"""
import os
import sys

import pyarrow as pa


def write(path, text):
    if os.path.exists(path) and open(path).read() == text:
        return
    with open(path, "w") as f:
        f.write(text)


def link(target, path):
    if os.path.islink(path) and os.readlink(path) == target:
        return
    if os.path.lexists(path):
        os.remove(path)
    os.symlink(target, path)


out = os.path.abspath(sys.argv[1])
lib, pc = os.path.join(out, "lib"), os.path.join(out, "pkgconfig")
os.makedirs(lib, exist_ok=True)
os.makedirs(pc, exist_ok=True)
source, version = pa.get_library_dirs()[0], pa.cpp_build_info.so_version
for name in ("arrow", "parquet"):
    file = os.path.join(source, f"lib{name}.so.{version}")
    if not os.path.exists(file):
        sys.exit(f"{file} is missing: this pyarrow wheel does not ship lib{name}; install pyarrow 24 or later")
    link(file, os.path.join(lib, f"lib{name}.so"))
    link(file, os.path.join(lib, f"lib{name}.so.{version}"))
for name, requires in (("arrow", ""), ("parquet", "Requires: arrow\n")):
    write(os.path.join(pc, name + ".pc"),
          f"libdir={lib}\nincludedir={pa.get_include()}\n\nName: {name}\nDescription: {name} from the pyarrow wheel\n"
          f"Version: {pa.__version__}\n{requires}Libs: -L${{libdir}} -l{name}\nCflags: -I${{includedir}}\n")
