CREATE TABLE `orders` (
  `id` STRING,
  `at` TIMESTAMP(3),
  CONSTRAINT `PK_id` PRIMARY KEY (`id`) NOT ENFORCED
)
WITH (
  'connector' = 'hudi',
  'hoodie.datasource.write.recordkey.field' = 'id',
  'hoodie.write.table.version' = '6',
  'metadata.enabled' = 'false',
  'path' = 's3://b/orders',
  'read.start-commit' = '20260131120000000',
  'read.streaming.check-interval' = '1',
  'read.streaming.enabled' = 'true',
  'table.type' = 'COPY_ON_WRITE'
);
-- table orders: 'read.start-commit' is inclusive in Flink: rows of that very commit are read again
-- org.apache.hudi:hudi-flink2.1-bundle:1.2.0
-- org.apache.flink:flink-s3-fs-hadoop:2.3.0
