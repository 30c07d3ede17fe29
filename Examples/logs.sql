-- %% [markdown]
-- # Logs as numbers, and minutes unlike those before
--
-- An anomaly detector compares numbers. A method, a status or a level of an access log is a word or a code, so it is encoded
-- first; then each minute is counted, and a random cut forest says how unlike its predecessors a minute is.

-- %% Twelve status codes, and four at the upper edges
-- A bin holds its lower edge and not its upper one: 299 is 2xx, as 200 is.
CREATE TEMPORARY VIEW statuses AS
SELECT http_status,
       CASE WHEN http_status >= 100 AND http_status < 200 THEN 1 ELSE 0 END AS http_1xx,
       CASE WHEN http_status >= 200 AND http_status < 300 THEN 1 ELSE 0 END AS http_2xx,
       CASE WHEN http_status >= 300 AND http_status < 400 THEN 1 ELSE 0 END AS http_3xx,
       CASE WHEN http_status >= 400 AND http_status < 500 THEN 1 ELSE 0 END AS http_4xx,
       CASE WHEN http_status >= 500 AND http_status < 600 THEN 1 ELSE 0 END AS http_5xx
  FROM UNNEST(ARRAY[100, 101, 200, 202, 299, 301, 304, 399, 400, 401, 404, 499, 500, 502, 503, 599]) AS t (http_status);

SELECT * FROM statuses;

-- %% Three methods, one column each
-- Methods have no order, so each gets a column of its own: exactly one of the nine is 1.
SELECT http_method,
       CAST(http_method = 'GET' AS INT) AS `GET`,
       CAST(http_method = 'HEAD' AS INT) AS `HEAD`,
       CAST(http_method = 'POST' AS INT) AS `POST`,
       CAST(http_method = 'PUT' AS INT) AS `PUT`,
       CAST(http_method = 'DELETE' AS INT) AS `DELETE`,
       CAST(http_method = 'CONNECT' AS INT) AS `CONNECT`,
       CAST(http_method = 'OPTIONS' AS INT) AS `OPTIONS`,
       CAST(http_method = 'TRACE' AS INT) AS `TRACE`,
       CAST(http_method = 'PATCH' AS INT) AS `PATCH`
  FROM (VALUES ('GET'), ('POST'), ('OPTIONS')) AS t (http_method);

-- %% Six levels in their order
-- Levels have an order, so one number says it all.
SELECT level, ARRAY_POSITION(ARRAY['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'], level) AS level_number
  FROM (VALUES ('TRACE'), ('DEBUG'), ('INFO'), ('WARN'), ('ERROR'), ('FATAL')) AS t (level);

-- %% [markdown]
-- ## Three hours of an access log
--
-- `datagen` with a seed makes the same rows each time. Two requests come in a second, of which nine in ten are kept; a few fail. In minute 150
-- every third request fails: that is what the forest should find, and nothing else.

-- %% Three hours of requests
CREATE TEMPORARY TABLE access_log (
    n BIGINT, method_draw INT, status_draw INT, country_draw INT, keep_draw INT,
    bucket AS 'awsexamplebucket1',
    ts AS TIMESTAMPADD(SECOND, CAST(n / 2 AS INT), TIMESTAMP '2021-03-22 10:00:00.000'),
    country_code AS 100 + country_draw,
    request_uri AS CASE WHEN method_draw < 80 THEN 'GET' WHEN method_draw < 90 THEN 'HEAD' WHEN method_draw < 98 THEN 'POST' ELSE 'DELETE' END
        || ' /awsexamplebucket1?versioning HTTP/1.1',
    http_status AS CASE WHEN n / 120 = 150 AND MOD(n, 3) = 0 THEN 503 WHEN status_draw < 4 THEN 500 WHEN status_draw < 40 THEN 404
        WHEN status_draw < 120 THEN 304 ELSE 200 END,
    WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'datagen', 'seed' = '22', 'rows-per-second' = '100000000', 'number-of-rows' = '21600',
        'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '21599',
        'fields.method_draw.min' = '0', 'fields.method_draw.max' = '99', 'fields.status_draw.min' = '0', 'fields.status_draw.max' = '999',
        'fields.country_draw.min' = '0', 'fields.country_draw.max' = '5', 'fields.keep_draw.min' = '0', 'fields.keep_draw.max' = '99');

SELECT ts, country_code, request_uri, http_status FROM access_log WHERE keep_draw < 90 LIMIT 5;

-- %% Each minute as four numbers tags=["insert"]
CREATE TEMPORARY VIEW minutes AS
SELECT bucket, window_start, window_end,
       CAST(COUNT(*) AS DOUBLE) AS requests,
       CAST(COUNT(*) FILTER (WHERE http_status BETWEEN 500 AND 599) AS DOUBLE) AS errors,
       CAST(COUNT(*) FILTER (WHERE SPLIT_INDEX(request_uri, ' ', 0) = 'DELETE') AS DOUBLE) AS deletes,
       CAST(COUNT(DISTINCT country_code) AS DOUBLE) AS countries
  FROM TABLE(TUMBLE(TABLE access_log, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
 WHERE keep_draw < 90
 GROUP BY bucket, window_start, window_end;

CREATE TEMPORARY VIEW scored AS
SELECT *, CASE WHEN anomaly_score IS NULL THEN 'initializing' ELSE 'running' END AS detector_state,
       COALESCE(anomaly_grade > 0.5, FALSE) AS is_anomaly
  FROM TABLE(RANDOM_CUT_FOREST_WITH_EXPLANATION(
         DATA => TABLE minutes PARTITION BY bucket, COLUMNS => DESCRIPTOR(requests, errors, deletes, countries),
         SUB_SAMPLE_SIZE => 256, OUTPUT_AFTER => 60, NORMALIZE => TRUE));

CREATE TABLE minute_scores (
    bucket STRING, window_start TIMESTAMP(3), requests DOUBLE, errors DOUBLE, deletes DOUBLE, anomaly_grade DOUBLE,
    detector_state STRING, is_anomaly BOOLEAN, PRIMARY KEY (bucket, window_start) NOT ENFORCED
) WITH ('connector' = 'hudi', 'path' = '${data}/tables/minute_scores');

INSERT INTO minute_scores
SELECT bucket, window_start, requests, errors, deletes, anomaly_grade, detector_state, is_anomaly FROM scored;

-- %% The hour around the burst
-- @chart line x=window_start y=errors,deletes title="Errors and deletions a minute"
SELECT window_start, errors, deletes FROM minute_scores
 WHERE window_start >= TIMESTAMP '2021-03-22 12:00:00' ORDER BY window_start;

-- %% How unlike the minutes before
-- @chart line x=window_start y=grade title="Grade of each minute; an anomaly is above 0.5"
-- The first sixty minutes are learned and have no grade.
SELECT window_start, ROUND(anomaly_grade, 4) AS grade FROM minute_scores WHERE detector_state = 'running' ORDER BY window_start;

-- %% What was flagged
-- The grade is a share of the sample that the minute stands apart from.
SELECT window_start, requests, errors, deletes, ROUND(anomaly_grade, 2) AS grade FROM minute_scores WHERE is_anomaly;

-- %% [markdown]
-- One minute of 180 is flagged, and none of the hour in which the detector was initializing. `Topologies/logs.yaml` does the same as a
-- job that goes on, with the steps `encode` and `anomaly`.
