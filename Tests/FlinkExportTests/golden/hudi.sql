CREATE TABLE `orders` (
  `id` STRING,
  `at` TIMESTAMP(3),
  `dt` STRING,
  CONSTRAINT `PK_id` PRIMARY KEY (`id`) NOT ENFORCED
)
PARTITIONED BY (`dt`)
WITH (
  'clean.retain_commits' = '5',
  'connector' = 'hudi',
  'hoodie.datasource.write.hive_style_partitioning' = 'true',
  'hoodie.datasource.write.partitionpath.field' = 'dt',
  'hoodie.datasource.write.recordkey.field' = 'id',
  'hoodie.parquet.small.file.limit' = '10485760',
  'hoodie.write.table.version' = '6',
  'index.bootstrap.enabled' = 'true',
  'index.global.enabled' = 'true',
  'metadata.enabled' = 'false',
  'path' = 's3://lake/orders',
  'precombine.field' = 'at',
  'table.type' = 'COPY_ON_WRITE',
  'write.operation' = 'upsert',
  'write.task.max.size' = '256'
);
-- table orders: 'index.bootstrap.enabled' makes the first checkpoint read the keys that the table has; take it out when the job is next started from a savepoint of Flink
-- table orders: 'write.commit.interval' left out: Flink commits with its checkpoints: 'execution.checkpointing.interval'
-- table orders: 's3.endpoint' left out: how storage is reached is the cluster's configuration: put it into its config.yaml, and the library flink-s3-fs-hadoop into its plugins
-- org.apache.hudi:hudi-flink2.1-bundle:1.2.0
-- org.apache.flink:flink-s3-fs-hadoop:2.3.0
