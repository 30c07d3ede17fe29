CREATE TABLE `items_records` (
  `eventName` STRING,
  `tableName` STRING,
  `eventSourceARN` STRING,
  `dynamodb` ROW<`Keys` STRING, `NewImage` ROW<`n` ROW<`N` BIGINT, `S` BIGINT>, `id` ROW<`S` STRING, `N` STRING, `B` STRING, `BOOL` BOOLEAN, `SS` STRING, `L` STRING, `M` STRING, `NS` STRING, `BS` STRING>>>,
  `__arrival` AS PROCTIME()
)
WITH (
  'connector' = 'filesystem',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601',
  'path' = '${DATA}/dynamodb-all'
);
CREATE VIEW `items` AS
SELECT `n`, `id` FROM (
SELECT `n`, `id`, `__deleted` FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY `__key0` ORDER BY `__arrival` DESC) AS `__place` FROM (SELECT COALESCE(`dynamodb`.`NewImage`.`n`.`N`, `dynamodb`.`NewImage`.`n`.`S`) AS `n`,
    COALESCE(`dynamodb`.`NewImage`.`id`.`S`, `dynamodb`.`NewImage`.`id`.`N`, `dynamodb`.`NewImage`.`id`.`B`, CASE WHEN `dynamodb`.`NewImage`.`id`.`BOOL` THEN 'true' WHEN NOT `dynamodb`.`NewImage`.`id`.`BOOL` THEN 'false' END, `dynamodb`.`NewImage`.`id`.`SS`, CAST(CAST(COALESCE(`dynamodb`.`NewImage`.`id`.`L`, `dynamodb`.`NewImage`.`id`.`M`, `dynamodb`.`NewImage`.`id`.`NS`, `dynamodb`.`NewImage`.`id`.`BS`) AS INT) AS STRING)) AS `id`,
    `dynamodb`.`Keys` AS `__key0`,
    `eventName` = 'REMOVE' AS `__deleted`,
    `__arrival`
  FROM `items_records`
  WHERE `eventName` IN ('INSERT', 'MODIFY', 'REMOVE'))
) WHERE `__place` = 1
) WHERE NOT `__deleted`;
-- table items: the records are read as JSON by table items_records, and are rows in a view over it; a record that is a list of Records, or whose eventName is unknown, gives no row there
-- table items: an attribute that is a list, a map or a set of numbers ends the job in Flink where its column is a STRING: here it is plain JSON
