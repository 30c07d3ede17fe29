#!/usr/bin/env bash
# The main job, end to end: load into the shard log, windows and upserts into Hudi tables, and the tables read back
# by hudi-rs, a reader that is not ours. `make demo` builds what this needs.
set -euo pipefail
cd "$(dirname "$0")/.."
swiftwater=$(swift build -c release --show-bin-path 2>/dev/null)/swiftwater
python=${SWIFTWATER_PYTHON:-.venv/bin/python}
export SWIFTWATER_DATA=swiftwater-data/demo
export BOUNDED=latest-offset   # stop at what the streams hold; without it the jobs run until Ctrl-C
rm -rf "$SWIFTWATER_DATA"

title() { printf '\n== %s\n' "$*"; }
run() { printf '$ swiftwater %s\n' "$*"; "$swiftwater" "$@"; }
independent() {  # rows that hudi-rs sees
  "$python" -c 'import os, sys, pyarrow as pa, hudi; print(pa.Table.from_batches(hudi.HudiTable(os.path.abspath(sys.argv[1])).read()).num_rows)' "$1"
}

title "Sensor readings into a stream"
run generate sensors --seed 1 --count 200000 --stream my-input-stream
title "Sliding windows by status, to a stream and to a Hudi table"
run run Topologies/sensors.yaml
run stream get my-output-stream --limit 3
table=$SWIFTWATER_DATA/tables/sensor_state_cow
run table query "$table" "SELECT status, COUNT(*) AS windows, SUM(num) AS readings, ROUND(AVG(avg_current_temperature), 2) AS avg_temperature FROM t GROUP BY status"

title "1,000 orders into a Hudi table, partitioned by date"
run generate orders --seed 1 --count 1000 --stream order-data-stream
run run Topologies/orders.yaml
orders=$SWIFTWATER_DATA/tables/order_hudi_cow
pick="SELECT order_id, item_id, product, amount, time_stamp FROM t WHERE order_id = '3801' AND item_id = '23' AND transaction_date = '2020-09-02'"
run table query "$orders" "$pick"
title "The change file: later versions of ten of these orders"
run generate orders --seed 1 --count 1000 --changes --stream order-data-stream
run run Topologies/orders.yaml
run table query "$orders" "$pick"

title "The table's rows, its timeline, and the same count by an independent reader"
run table query "$orders" "SELECT * FROM t ORDER BY order_id, item_id LIMIT 5"
run table show "$orders"
run table timeline "$orders"
ours=$("$swiftwater" table query "$orders" "SELECT COUNT(*) FROM t" --output csv | tail -n 1)
theirs=$(independent "$orders")
echo "rows in order_hudi_cow: $ours by Swiftwater, $theirs by hudi-rs"
ours_sensors=$("$swiftwater" table query "$table" "SELECT COUNT(*) FROM t" --output csv | tail -n 1)
theirs_sensors=$(independent "$table")
echo "rows in sensor_state_cow: $ours_sensors by Swiftwater, $theirs_sensors by hudi-rs"
[ "$ours" = "$theirs" ] && [ "$ours" = 1000 ] && [ "$ours_sensors" = "$theirs_sensors" ]
