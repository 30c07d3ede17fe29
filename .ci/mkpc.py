#!/usr/bin/env python3
"""Make the Arrow and Parquet libraries of an installed pyarrow wheel visible to pkg-config.

    python mkpc.py OUT

Run it with the Python that has pyarrow. It creates OUT/lib (links to the shared libraries) and OUT/pkgconfig
(arrow.pc, parquet.pc). Then either

    ARROW_RPATH=OUT/lib swift build --pkg-config-path OUT/pkgconfig

or, system-wide as root: copy OUT/pkgconfig/*.pc to a directory on pkg-config's default path, write OUT/lib into a
file in /etc/ld.so.conf.d and run ldconfig; `swift build` then needs no variable and no option.
Not needed where libparquet-dev (Arrow's APT repository) or apache-arrow (Homebrew) is installed.
"""
import os
import sys

import pyarrow as pa


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = os.path.abspath(sys.argv[1])
    lib, pkgconfig = os.path.join(out, "lib"), os.path.join(out, "pkgconfig")
    os.makedirs(lib, exist_ok=True)
    os.makedirs(pkgconfig, exist_ok=True)
    source, version = pa.get_library_dirs()[0], pa.cpp_build_info.so_version
    for name in ("arrow", "parquet"):
        library = os.path.join(source, f"lib{name}.so.{version}")
        if not os.path.exists(library):
            sys.exit(f"{library} is missing: reinstall pyarrow {pa.__version__}")
        for link in (f"lib{name}.so", f"lib{name}.so.{version}"):
            path = os.path.join(lib, link)
            if os.path.lexists(path):
                os.remove(path)
            os.symlink(library, path)
    for name, requires in (("arrow", ""), ("parquet", "Requires: arrow\n")):
        with open(os.path.join(pkgconfig, name + ".pc"), "w") as file:
            file.write(f"libdir={lib}\nincludedir={pa.get_include()}\n\nName: {name}\n"
                       f"Description: {name} from the pyarrow wheel\nVersion: {pa.__version__}\n{requires}"
                       f"Libs: -L${{libdir}} -l{name}\nCflags: -I${{includedir}}\n")


if __name__ == "__main__":
    main()
