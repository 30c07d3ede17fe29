CREATE TABLE `totals` (
  `id` STRING,
  `v` INT,
  CONSTRAINT `PK_id` PRIMARY KEY (`id`) NOT ENFORCED
)
WITH (
  'connector' = 'upsert-kafka',
  'key.format' = 'raw',
  'properties.bootstrap.servers' = 'b:9092',
  'sink.buffer-flush.interval' = '1 s',
  'sink.buffer-flush.max-rows' = '100',
  'topic' = 'totals',
  'value.format' = 'json'
);
-- org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2
