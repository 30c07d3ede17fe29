-- %% [markdown]
-- # Sensors
--
-- Readings of a hundred sensors come in one stream. This notebook looks at them as they come, computes averages over a sliding minute,
-- and sends these to a second stream. The SQL is Flink's.
--
-- `swiftwater notebook run --scratch Examples/sensors.sql`

-- %% The streams language="sh"
-- swiftwater stream create my-input-stream --if-not-exists 2> /dev/null
-- swiftwater stream create my-output-stream --if-not-exists 2> /dev/null
-- swiftwater stream list

-- %% [markdown]
-- The generator goes on in the background until the notebook ends. It writes 500 readings a second whose times are 100 ms apart:
-- 50 seconds of event time pass in each second, so that nobody has to wait for windows of a minute.

-- %% The generator language="sh"
-- # @background
-- swiftwater generate sensors --rate 500 --step 100ms --stream my-input-stream

-- %% [markdown]
-- A table describes what is in the stream. `WATERMARK` says that a reading is at most five seconds late: when one of 11:20:15 has come,
-- everything before 11:20:10 counts as complete. `LATEST` starts at what comes from now on.
--
-- No record is cut to the six letters of `VARCHAR(6)`: `WARNING` has seven.

-- %% A table over the stream
-- %flink.ssql
CREATE TABLE sensor_data (
    sensor_id INTEGER,
    current_temperature DOUBLE,
    status VARCHAR(6),
    event_time TIMESTAMP(3),
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
)
PARTITIONED BY (sensor_id)
WITH (
    'connector' = 'kinesis',
    'stream' = 'my-input-stream',
    'aws.region' = 'us-east-1',
    'scan.stream.initpos' = 'LATEST',
    'format' = 'json',
    'json.timestamp-format.standard' = 'ISO-8601'
)

-- %% It is in the catalog
SHOW TABLES;

-- %% [markdown]
-- The query has no end: its result is updated as readings come. `@rows` ends the cell when so many are there; it could be `@for 10s`, or you, with Ctrl-C.
-- The chart groups the rows that are shown by their status. The hotter a sensor, the less often it is `OK`.

-- %% Readings as they come
-- %flink.ssql(type=update)
-- @rows 600
-- @chart bar x=status y=current_temperature aggregate=avg title="Average temperature by status"
SELECT * FROM sensor_data;

-- %% [markdown]
-- Now in SQL, over a window of one minute that moves on every ten seconds. A window gives its rows once, when the watermark has passed its end.
-- `HOP_ROWTIME` is the last millisecond of the window. The chart shows the newest window.

-- %% Averages of a sliding minute
-- %flink.ssql(type=update)
-- @rows 18
-- @chart bar x=status y=avg_current_temperature aggregate=last title="Average temperature by status, newest minute"
SELECT sensor_data.status,
       COUNT(*) AS num,
       AVG(sensor_data.current_temperature) AS avg_current_temperature,
       HOP_ROWTIME(event_time, INTERVAL '10' second, INTERVAL '1' minute) as hop_time
  FROM sensor_data
 GROUP BY HOP(event_time, INTERVAL '10' second, INTERVAL '1' minute), sensor_data.status;

-- %% [markdown]
-- A second table stands for the stream that takes the averages. `COUNT(*)` is a BIGINT; it is narrowed to the column's INTEGER, and a count that does not fit is an error.

-- %% Where the averages go
-- %flink.ssql
CREATE TABLE sensor_state (
    status VARCHAR(6),
    num INTEGER,
    avg_current_temperature DOUBLE,
    hop_time TIMESTAMP(3)
)
WITH (
'connector' = 'kinesis',
'stream' = 'my-output-stream',
'aws.region' = 'us-east-1',
'scan.stream.initpos' = 'LATEST',
'format' = 'json',
'json.timestamp-format.standard' = 'ISO-8601');

-- %% Send them there tags=["insert"]
-- %flink.ssql(type=update)
-- @background
INSERT INTO sensor_state
SELECT sensor_data.status,
    COUNT(*) AS num,
    AVG(sensor_data.current_temperature) AS avg_current_temperature,
    HOP_ROWTIME(event_time, INTERVAL '10' second, INTERVAL '1' minute) as hop_time
FROM sensor_data
GROUP BY HOP(event_time, INTERVAL '10' second, INTERVAL '1' minute), sensor_data.status;

-- %% [markdown]
-- Other programs read the second stream while the INSERT goes on, as this cell does until it has 18 rows, three for each of six windows.

-- %% What has arrived
-- %flink.ssql(type=update)
-- @rows 18
-- @chart line x=hop_time y=avg_current_temperature group=status
SELECT * FROM sensor_state;

-- %% [markdown]
-- The INSERT alone becomes a job of the service, with the tables of the cells above it:
-- `swiftwater notebook deploy Examples/sensors.sql --cells insert --parallelism 1`
