-- Revenue by minute, as for a session cluster of Flink 1.17.
-- runs
-- notice: setting 'taskmanager.memory.process.size' means nothing here: there is no JVM
-- notice: setting 'taskmanager.numberOfTaskSlots' means nothing here: one process runs the job: there is no cluster
-- notice: setting 'execution.buffer-timeout' means nothing here: there is no network shuffle
-- notice: setting 'pipeline.object-reuse' means nothing here: plans are improved by rules of this engine's own
-- notice: table revenue: option 'auto-compaction' means nothing here: small files are not merged; a longer 'execution.checkpointing.interval' makes fewer
-- notice: table revenue: option 'sink.parallelism' means nothing here: files are written with the parallelism of the job
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'taskmanager.memory.process.size' = '4096m';
SET 'taskmanager.numberOfTaskSlots' = '4';
SET 'parallelism.default' = '1';
SET 'execution.buffer-timeout' = '50 ms';
SET 'pipeline.object-reuse' = 'true';
SET 'pipeline.name' = 'revenue by minute';
-- The second time it is no news.
SET 'pipeline.object-reuse' = 'false';

CREATE TABLE orders (
  order_id BIGINT,
  customer STRING,
  amount   DECIMAL(10, 2),
  currency STRING,
  ts       TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
  'connector' = 'filesystem',
  'path' = '${DATA}/orders.jsonl',
  'format' = 'json',
  'json.ignore-parse-errors' = 'true'
);

CREATE TABLE revenue (
  window_start TIMESTAMP(3),
  orders BIGINT,
  total DECIMAL(38, 2)
) WITH (
  'connector' = 'filesystem',
  'path' = '${OUT}/revenue',
  'format' = 'json',
  'auto-compaction' = 'true',
  'sink.parallelism' = '1',
  'sink.rolling-policy.file-size' = '8MB',
  'sink.rolling-policy.rollover-interval' = '1 min',
  'sink.rolling-policy.check-interval' = '10 s'
);

INSERT INTO revenue
SELECT window_start, COUNT(*), SUM(amount)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;
