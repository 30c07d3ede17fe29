CREATE TABLE `items_records` (
  `eventName` STRING,
  `tableName` STRING,
  `eventSourceARN` STRING,
  `dynamodb` ROW<`Keys` ROW<`id` ROW<`S` STRING, `N` STRING, `B` STRING, `BOOL` BOOLEAN, `SS` STRING, `L` STRING, `M` STRING, `NS` STRING, `BS` STRING>>, `NewImage` ROW<`id` ROW<`S` STRING, `N` STRING, `B` STRING, `BOOL` BOOLEAN, `SS` STRING, `L` STRING, `M` STRING, `NS` STRING, `BS` STRING>>, `OldImage` ROW<`id` ROW<`S` STRING, `N` STRING, `B` STRING, `BOOL` BOOLEAN, `SS` STRING, `L` STRING, `M` STRING, `NS` STRING, `BS` STRING>>, `ApproximateCreationDateTime` DOUBLE, `ApproximateCreationDateTimePrecision` STRING>,
  `changed` AS CAST(TO_TIMESTAMP_LTZ(CAST(CASE WHEN `dynamodb`.`ApproximateCreationDateTimePrecision` = 'MICROSECOND' THEN `dynamodb`.`ApproximateCreationDateTime` / 1000 WHEN `dynamodb`.`ApproximateCreationDateTimePrecision` = 'MILLISECOND' THEN `dynamodb`.`ApproximateCreationDateTime` WHEN `dynamodb`.`ApproximateCreationDateTime` < 1e11 THEN `dynamodb`.`ApproximateCreationDateTime` * 1000 WHEN `dynamodb`.`ApproximateCreationDateTime` < 1e14 THEN `dynamodb`.`ApproximateCreationDateTime` ELSE `dynamodb`.`ApproximateCreationDateTime` / 1000 END AS BIGINT), 3) AS TIMESTAMP_LTZ(3)),
  WATERMARK FOR `changed` AS `changed` - INTERVAL '1' SECOND
)
WITH (
  'connector' = 'filesystem',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601',
  'path' = '${DATA}/dynamodb'
);
CREATE VIEW `items` AS
SELECT `id`, `what`, `changed`, `changed` + INTERVAL '1' HOUR AS `later` FROM (
SELECT CASE WHEN `eventName` <> 'REMOVE' THEN COALESCE(`dynamodb`.`NewImage`.`id`.`S`, `dynamodb`.`NewImage`.`id`.`N`, `dynamodb`.`NewImage`.`id`.`B`, CASE WHEN `dynamodb`.`NewImage`.`id`.`BOOL` THEN 'true' WHEN NOT `dynamodb`.`NewImage`.`id`.`BOOL` THEN 'false' END, `dynamodb`.`NewImage`.`id`.`SS`, CAST(CAST(COALESCE(`dynamodb`.`NewImage`.`id`.`L`, `dynamodb`.`NewImage`.`id`.`M`, `dynamodb`.`NewImage`.`id`.`NS`, `dynamodb`.`NewImage`.`id`.`BS`) AS INT) AS STRING)) WHEN `dynamodb`.`OldImage` IS NOT NULL THEN COALESCE(`dynamodb`.`OldImage`.`id`.`S`, `dynamodb`.`OldImage`.`id`.`N`, `dynamodb`.`OldImage`.`id`.`B`, CASE WHEN `dynamodb`.`OldImage`.`id`.`BOOL` THEN 'true' WHEN NOT `dynamodb`.`OldImage`.`id`.`BOOL` THEN 'false' END, `dynamodb`.`OldImage`.`id`.`SS`, CAST(CAST(COALESCE(`dynamodb`.`OldImage`.`id`.`L`, `dynamodb`.`OldImage`.`id`.`M`, `dynamodb`.`OldImage`.`id`.`NS`, `dynamodb`.`OldImage`.`id`.`BS`) AS INT) AS STRING)) ELSE COALESCE(`dynamodb`.`Keys`.`id`.`S`, `dynamodb`.`Keys`.`id`.`N`, `dynamodb`.`Keys`.`id`.`B`, CASE WHEN `dynamodb`.`Keys`.`id`.`BOOL` THEN 'true' WHEN NOT `dynamodb`.`Keys`.`id`.`BOOL` THEN 'false' END, `dynamodb`.`Keys`.`id`.`SS`, CAST(CAST(COALESCE(`dynamodb`.`Keys`.`id`.`L`, `dynamodb`.`Keys`.`id`.`M`, `dynamodb`.`Keys`.`id`.`NS`, `dynamodb`.`Keys`.`id`.`BS`) AS INT) AS STRING)) END AS `id`,
  CAST(`eventName` AS STRING) AS `what`,
  `changed` AS `changed`
FROM `items_records`
WHERE `eventName` IN ('INSERT', 'MODIFY', 'REMOVE') AND REGEXP(COALESCE(`tableName`, SPLIT_INDEX(`eventSourceARN`, '/', 1)), '^(?:items|orders)$')
);
-- table items: the records are read as JSON by table items_records, and are rows in a view over it; a record that is a list of Records, or whose eventName is unknown, gives no row there
-- table items: an attribute that is a list, a map or a set of numbers ends the job in Flink where its column is a STRING: here it is plain JSON
