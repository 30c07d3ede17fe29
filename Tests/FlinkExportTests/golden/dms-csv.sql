CREATE TABLE `policies_records` (
  `Op` STRING,
  `ts` STRING,
  `id` STRING,
  `name` STRING,
  `amount` STRING,
  `expires` STRING,
  `__name` STRING NOT NULL METADATA FROM 'file.name',
  `__arrival` AS PROCTIME()
)
WITH (
  'connector' = 'filesystem',
  'csv.null-literal' = 'NULL',
  'format' = 'csv',
  'path' = '${DATA}/dms-csv'
);
CREATE VIEW `policies` AS
SELECT `id`, `name`, `amount`, `expires`, `op`, `at` FROM (
SELECT `id`, `name`, `amount`, `expires`, `op`, `at`, `__deleted` FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `__key0` ORDER BY `__file` DESC, `__time` DESC) AS `__place` FROM (SELECT `id`, `name`, `amount`, `expires`, `op`, `at`, `__deleted`, `__file`, `__time`, `__key0` FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `__key0`, `__file` ORDER BY `__arrival` DESC) AS `__place` FROM (SELECT CAST(NULLIF(`id`, '') AS INT) AS `id`,
    `name` AS `name`,
    CAST(NULLIF(`amount`, '') AS DECIMAL(8, 2)) AS `amount`,
    CAST(NULLIF(`expires`, '') AS DATE) AS `expires`,
    CAST(`Op` AS STRING) AS `op`,
    CAST(REPLACE(REPLACE(NULLIF(`ts`, ''), 'T', ' '), 'Z', '') AS TIMESTAMP(6)) AS `at`,
    CAST(NULLIF(`id`, '') AS INT) AS `__key0`,
    COALESCE(`Op`, 'I') = 'D' AS `__deleted`,
    `__arrival`,
    CASE WHEN `__name` LIKE 'LOAD%' THEN CONCAT('0', `__name`) ELSE CONCAT('1', `__name`) END AS `__file`,
    CAST(`__arrival` AS TIMESTAMP_LTZ(3)) AS `__time`
  FROM `policies_records`)
) WHERE `__place` = 1)
) WHERE `__place` = 1
) WHERE NOT `__deleted`;
-- table policies: the files are read as csv by table policies_records, and are rows in a view over it; files that Flink cuts into several splits must not hold a key twice
