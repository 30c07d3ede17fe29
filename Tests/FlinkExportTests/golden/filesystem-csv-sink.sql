CREATE TABLE `out` (
  `id` INT,
  `day` STRING
)
PARTITIONED BY (`day`)
WITH (
  'connector' = 'filesystem',
  'csv.field-delimiter' = ';',
  'format' = 'csv',
  'path' = '${DATA}/out',
  'sink.partition-commit.policy.kind' = 'success-file',
  'sink.rolling-policy.rollover-interval' = '5 min'
);
-- table out: 'sink.rolling-policy.on-checkpoint' left out: Flink ends Parquet files with each checkpoint, and files of other formats by size and age alone
-- table out: rows are seen once their file ends, which in Flink is by size and age ('sink.rolling-policy.rollover-interval', 30 min), and not with each commit
