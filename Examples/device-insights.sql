-- %% [markdown]
-- # What is wrong with a device, seconds after it said so
--
-- Routers post their log files over HTTP. A job counts the errors of each device by quarter of an hour and keeps the last one, in a view:
-- a table that holds the newest row of each key where others can read it. Five seconds is what people are asked to wait; this takes a part
-- of one.

-- %% Where devices post their logs language="python"
-- # A free port of this machine. A log's device is a part of the path that it is posted to.
-- import socket
-- with socket.socket() as s:
--     s.bind(("127.0.0.1", 0))
--     address = "127.0.0.1:%d" % s.getsockname()[1]
-- z.sql(f"""
--     CREATE TEMPORARY TABLE device_logs (
--         `at` TIMESTAMP(3), level STRING, model STRING, transmitted BIGINT, received BIGINT, message STRING,
--         device STRING METADATA FROM 'path.device',
--         WATERMARK FOR `at` AS `at` - INTERVAL '1' MINUTE
--     ) WITH ('connector' = 'http', 'listen' = '{address}', 'path' = '/devices/{{device}}/logs',
--             'log.directory' = '${data}', 'format' = 'csv', 'on-error' = 'skip')""")
-- print("devices post to", f"http://{address}/devices/NAME/logs")

-- %% The view
-- A window tells its rows when it ends. Early firing tells them before that, here 20 ms after something has changed.
SET 'table.exec.emit.early-fire.enabled' = 'true';
SET 'table.exec.emit.early-fire.delay' = '20 ms';

CREATE TEMPORARY TABLE device_now (
    device STRING NOT NULL, quarter TIMESTAMP(3), num_lines BIGINT, errors BIGINT, last_error STRING, last_error_at TIMESTAMP(3),
    PRIMARY KEY (device) NOT ENFORCED
) WITH ('connector' = 'view');

-- %% Errors by device
-- @background
-- Goes on beside the cells that follow. Of each device the newest quarter of an hour with a line is kept.
INSERT INTO device_now
SELECT device, quarter, num_lines, errors, last_error, last_error_at
  FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY device ORDER BY quarter DESC) AS place
          FROM (SELECT device, window_start AS quarter, COUNT(*) AS num_lines, COUNT(*) FILTER (WHERE level = 'ERROR') AS errors,
                       LAST_VALUE(message) FILTER (WHERE level = 'ERROR') AS last_error, MAX(`at`) FILTER (WHERE level = 'ERROR') AS last_error_at
                  FROM TABLE(TUMBLE(TABLE device_logs, DESCRIPTOR(`at`), INTERVAL '15' MINUTES))
                 GROUP BY device, window_start, window_end))
 WHERE place = 1;

-- %% Three routers post, and the answers are waited for language="python"
-- import http.client, time
--
-- def post(device, *lines):
--     """Returns when the lines are kept durably."""
--     for attempt in range(200):  # the job may still be starting
--         try:
--             connection = http.client.HTTPConnection(address, timeout=10)
--             connection.request("POST", f"/devices/{device}/logs", "".join(line + "\n" for line in lines), {"Content-Type": "text/csv"})
--             status = connection.getresponse().status
--             assert status == 200, status
--             return
--         except ConnectionRefusedError:
--             time.sleep(0.05)
--     raise TimeoutError(f"nothing listens on {address}")
--
-- def wait_for(device, num_lines):
--     """Asks for the device's row until it counts so many lines."""
--     deadline = time.monotonic() + 5
--     while time.monotonic() < deadline:
--         rows = z.sql(f"SELECT num_lines FROM device_now WHERE device = '{device}'").to_pylist()
--         if rows and rows[0]["num_lines"] >= num_lines:
--             return
--         time.sleep(0.01)
--     raise TimeoutError(f"{device} has no {num_lines} lines after 5 s")
--
-- post("router-1", '2024-05-04 19:58:46.480,INFO,R1,1200,98000,"status ok"', '2024-05-04 19:58:47.100,ERROR,R1,1200,98000,"WAN link down"')
-- post("router-2", '2024-05-04 19:58:46.900,WARN,R2,300,4000,"retrying"')
-- post("router-3", '2024-05-04 19:59:01.000,ERROR,R1,0,0,"radio overheated"', '2024-05-04 19:59:02.000,ERROR,R1,0,0,"radio overheated"')
-- for device, lines in (("router-1", 2), ("router-2", 1), ("router-3", 2)):
--     wait_for(device, lines)

-- %% The devices now
-- @chart bar x=device y=errors title="Errors of this quarter of an hour"
SELECT device, num_lines, errors, last_error, last_error_at FROM device_now ORDER BY device;

-- %% How long it takes language="python"
-- # @chart scatter x=log y=milliseconds title="From a posted line to its count, milliseconds"
-- import pyarrow as pa
-- taken = []
-- for log in range(1, 21):
--     begun = time.monotonic()
--     post("router-2", f'2024-05-04 19:59:{log:02}.000,ERROR,R2,300,4000,"DHCP lease lost #{log}"')
--     wait_for("router-2", 1 + log)
--     taken.append(round(1000 * (time.monotonic() - begun), 1))
-- assert max(taken) < 5000, taken
-- pa.table({"log": list(range(1, 21)), "milliseconds": taken})

-- %% One device
SELECT device, num_lines, errors, last_error, last_error_at FROM device_now WHERE device = 'router-2';

-- %% [markdown]
-- In this notebook the view lives as long as its cell. `swiftwater serve` and `swiftwater deploy Topologies/insights.yaml` keep the same job running;
-- programs then read a device with `GET /v1/views/device_now/router-2`, and follow all of them with `GET /v1/views/device_now/changes`.
