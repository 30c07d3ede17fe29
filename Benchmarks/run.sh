#!/usr/bin/env bash
# Prints the speed table of the README. ROWS=n changes the input size.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build -c release --product swiftwater-bench --pkg-config-path .venv/arrow/pkgconfig -Xswiftc -gnone
bin=$(swift build -c release --show-bin-path)
strip -o "$bin/swiftwater-stripped" "$bin/swiftwater"
exec "$bin/swiftwater-bench" --rows "${ROWS:-5000000}" --binary "$bin/swiftwater-stripped"
