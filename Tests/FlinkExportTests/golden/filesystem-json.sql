CREATE TABLE `readings` (
  `id` INT,
  `at` TIMESTAMP(3),
  `v` DOUBLE,
  `file` STRING METADATA FROM 'file.name' VIRTUAL,
  WATERMARK FOR `at` AS `at` - INTERVAL '5' SECOND
)
WITH (
  'connector' = 'filesystem',
  'format' = 'json',
  'json.ignore-parse-errors' = 'true',
  'json.timestamp-format.standard' = 'ISO-8601',
  'path' = '${DATA}/readings',
  'source.monitor-interval' = '1 s'
);
-- table readings: 'on-error' = 'skip' is 'json.ignore-parse-errors' = 'true': Flink counts no such records, and where it cannot read one field of a record it may keep the row with NULL in it
