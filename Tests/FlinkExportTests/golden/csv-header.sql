CREATE TABLE `patients_records` (
  `__id` STRING,
  `__name` STRING,
  `__born` STRING,
  `__seen` STRING,
  `__weight` STRING,
  `seen` AS CASE WHEN (`__id` IS NOT NULL AND TRY_CAST(`__id` AS INT) IS NULL AND `__born` IS NOT NULL AND TRY_CAST(`__born` AS DATE) IS NULL AND `__seen` IS NOT NULL AND TRY_CAST(`__seen` AS TIMESTAMP(3)) IS NULL AND `__weight` IS NOT NULL AND TRY_CAST(`__weight` AS DOUBLE) IS NULL) THEN CAST(TIMESTAMP '1970-01-01 00:00:00' AS TIMESTAMP(3)) ELSE CAST(`__seen` AS TIMESTAMP(3)) END,
  WATERMARK FOR `seen` AS `seen` - INTERVAL '1' SECOND
)
WITH (
  'connector' = 'filesystem',
  'csv.null-literal' = '-',
  'format' = 'csv',
  'path' = '${DATA}/csv-header'
);
CREATE VIEW `patients` AS
SELECT `id`, `name`, `born`, `seen`, `weight`, `seen` + INTERVAL '1' DAY AS `later` FROM (
SELECT CAST(`__id` AS INT) AS `id`,
  `__name` AS `name`,
  CAST(`__born` AS DATE) AS `born`,
  `seen` AS `seen`,
  CAST(`__weight` AS DOUBLE) AS `weight`
FROM `patients_records`
WHERE NOT (`__id` IS NOT NULL AND TRY_CAST(`__id` AS INT) IS NULL AND `__born` IS NOT NULL AND TRY_CAST(`__born` AS DATE) IS NULL AND `__seen` IS NOT NULL AND TRY_CAST(`__seen` AS TIMESTAMP(3)) IS NULL AND `__weight` IS NOT NULL AND TRY_CAST(`__weight` AS DOUBLE) IS NULL)
);
-- table patients: 'csv.header' is a view over table patients_records, which leaves out each line that holds a value of none of the columns of numbers and times: a broken record of that kind does not end the job in Flink
