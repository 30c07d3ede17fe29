CREATE TABLE `policies_records` (
  `data` ROW<`id` INT, `name` STRING, `amount` DECIMAL(8, 2), `expires` DATE>,
  `metadata` ROW<`operation` STRING, `record-type` STRING, `timestamp` STRING>,
  `__name` STRING NOT NULL METADATA FROM 'file.name',
  `__arrival` AS PROCTIME()
)
WITH (
  'connector' = 'filesystem',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601',
  'path' = '${DATA}/dms-envelope'
);
CREATE VIEW `policies` AS
SELECT `id`, `name`, `amount`, `expires`, `op`, `at` FROM (
SELECT `id`, `name`, `amount`, `expires`, `op`, `at`, `__deleted` FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `__key0` ORDER BY `__file` DESC, `__time` DESC) AS `__place` FROM (SELECT `id`, `name`, `amount`, `expires`, `op`, `at`, `__deleted`, `__file`, `__time`, `__key0` FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `__key0`, `__file` ORDER BY `__arrival` DESC) AS `__place` FROM (SELECT `data`.`id` AS `id`,
    `data`.`name` AS `name`,
    `data`.`amount` AS `amount`,
    `data`.`expires` AS `expires`,
    CAST(CASE `metadata`.`operation` WHEN 'insert' THEN 'I' WHEN 'load' THEN 'I' WHEN 'update' THEN 'U' WHEN 'delete' THEN 'D' END AS STRING) AS `op`,
    CAST(REPLACE(REPLACE(NULLIF(`metadata`.`timestamp`, ''), 'T', ' '), 'Z', '') AS TIMESTAMP(6)) AS `at`,
    `data`.`id` AS `__key0`,
    COALESCE(CASE `metadata`.`operation` WHEN 'insert' THEN 'I' WHEN 'load' THEN 'I' WHEN 'update' THEN 'U' WHEN 'delete' THEN 'D' END, 'I') = 'D' AS `__deleted`,
    `__arrival`,
    CASE WHEN `__name` LIKE 'LOAD%' THEN CONCAT('0', `__name`) ELSE CONCAT('1', `__name`) END AS `__file`,
    CAST(`__arrival` AS TIMESTAMP_LTZ(3)) AS `__time`
  FROM `policies_records`
  WHERE `metadata`.`record-type` IS DISTINCT FROM 'control')
) WHERE `__place` = 1)
) WHERE `__place` = 1
) WHERE NOT `__deleted`;
-- table policies: the files are read as json by table policies_records, and are rows in a view over it; files that Flink cuts into several splits must not hold a key twice
