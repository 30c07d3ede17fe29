-- %% [markdown]
-- # Late data
--
-- Ten values of one sensor, in the order in which they came, which is not that of their times: the last but one is nine seconds older than the one before it.
--
-- `swiftwater notebook run --scratch Examples/late-data.sql`

-- %% Ten values language="sh"
-- mkdir -p "$SWIFTWATER_DATA/late"
-- cat > "$SWIFTWATER_DATA/late/values.json" <<'END'
-- {"event_time": "2021-03-22 02:48:09.425", "quality": "GOOD"}
-- {"event_time": "2021-03-22 02:48:12.425", "quality": "FAIR"}
-- {"event_time": "2021-03-22 02:48:06.425", "quality": "GOOD"}
-- {"event_time": "2021-03-22 02:48:13.425", "quality": "GOOD"}
-- {"event_time": "2021-03-22 02:48:07.425", "quality": "GOOD"}
-- {"event_time": "2021-03-22 02:48:10.425", "quality": "GOOD"}
-- {"event_time": "2021-03-22 02:48:10.925", "quality": "GOOD"}
-- {"event_time": "2021-03-22 02:48:14.425", "quality": "FAIR"}
-- {"event_time": "2021-03-22 02:48:05.425", "quality": "GOOD"}
-- {"event_time": "2021-03-22 02:48:08.425", "quality": "GOOD"}
-- END

-- %% [markdown]
-- The watermark says how far event time has come: here the greatest time so far, less five seconds. Rows may be out of order by that much; what is older may come too late.

-- %% The values, with a watermark
CREATE TABLE site (
    event_time TIMESTAMP(3),
    quality STRING,
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/late/values.json', 'format' = 'json');

-- %% What the watermark was when each value came
SELECT event_time, quality, CURRENT_WATERMARK(event_time) AS current_watermark_before, CURRENT_WATERMARK(event_time) > event_time AS is_behind FROM site;

-- %% [markdown]
-- Four values are behind the watermark. That alone does no harm: a row is late only if its *window* is complete, that is if the watermark has passed the window's end.
-- In windows of five seconds all ten are in time: five and five.

-- %% Windows of five seconds
SELECT window_start, window_end, COUNT(*) AS num
FROM TABLE(TUMBLE(TABLE site, DESCRIPTOR(event_time), INTERVAL '5' SECOND))
GROUP BY window_start, window_end;

-- %% [markdown]
-- Windows of one second end earlier. Four values come after their window has given its result, and are left out.

-- %% Windows of one second
-- @chart bar x=window_start y=num title="Values in time, by second"
SELECT window_start, window_end, COUNT(*) AS num
FROM TABLE(TUMBLE(TABLE site, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
GROUP BY window_start, window_end;

-- %% [markdown]
-- Late rows are never lost in silence. A query finds them, for a table of their own: their window's last millisecond is not after the watermark.

-- %% The four late values
CREATE VIEW late_values AS
SELECT event_time, quality FROM site
WHERE FLOOR(event_time TO SECOND) + INTERVAL '0.999' SECOND <= CURRENT_WATERMARK(event_time);
SELECT * FROM late_values;

-- %% [markdown]
-- And each operator counts its late rows: `late_rows` here, `numLateRecordsDropped` in the REST API and for Prometheus, a column of the table that `swiftwater run` shows.

-- %% The count of late rows language="sh"
-- cat > "$SWIFTWATER_DATA/late/windows.sql" <<END
-- CREATE TABLE site (event_time TIMESTAMP(3), quality STRING, WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND)
-- WITH ('connector' = 'filesystem', 'path' = '$SWIFTWATER_DATA/late/values.json', 'format' = 'json');
-- CREATE TABLE counts (window_start TIMESTAMP(3), num BIGINT) WITH ('connector' = 'blackhole');
-- INSERT INTO counts SELECT window_start, COUNT(*)
-- FROM TABLE(TUMBLE(TABLE site, DESCRIPTOR(event_time), INTERVAL '1' SECOND)) GROUP BY window_start, window_end;
-- END
-- swiftwater run "$SWIFTWATER_DATA/late/windows.sql" --output json | tail -n 1 | grep -o '"late_rows":[1-9][0-9]*'

-- %% [markdown]
-- Windows can wait for late rows: for ten more seconds a late row changes the result that its window has given. Nothing is left out, and the rows before are corrected.

-- %% Windows that wait
-- %flink.ssql(type=update)
SET 'table.exec.emit.late-fire.enabled' = 'true';
SET 'table.exec.emit.late-fire.delay' = '0 ms';
SET 'table.exec.emit.allow-lateness' = '10 s';
SELECT window_start, window_end, COUNT(*) AS num
FROM TABLE(TUMBLE(TABLE site, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
GROUP BY window_start, window_end;
