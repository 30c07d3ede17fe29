CREATE TABLE `orders` (
  `id` STRING,
  `v` INT
)
WITH (
  'catalog-database' = 'db',
  'catalog-name' = 'lake',
  'catalog-table' = 'orders',
  'catalog-type' = 'hadoop',
  'connector' = 'iceberg',
  'format-version' = '2',
  'warehouse' = 's3://lake',
  'write.upsert.enabled' = 'false'
);
-- org.apache.iceberg:iceberg-flink-runtime-2.0:1.11.0
-- org.apache.flink:flink-s3-fs-hadoop:2.3.0
