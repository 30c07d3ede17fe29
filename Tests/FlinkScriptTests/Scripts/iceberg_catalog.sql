-- The same of Iceberg, in a Hadoop catalog.
-- runs
-- notice: setting 'table.exec.iceberg.infer-source-parallelism' means nothing here: tables are read with the parallelism of the job
-- notice: table sample: option 'write.distribution-mode' means nothing here: rows go to the file that their key or partition has
SET 'execution.runtime-mode' = 'streaming';
SET 'table.exec.iceberg.infer-source-parallelism' = 'false';
SET 'table.dml-sync' = 'true';
CREATE CATALOG hadoop_catalog WITH ('type' = 'iceberg', 'catalog-type' = 'hadoop', 'warehouse' = 'file://${OUT}/warehouse', 'property-version' = '1');
USE CATALOG hadoop_catalog;
CREATE DATABASE IF NOT EXISTS iceberg_db;
CREATE TABLE `hadoop_catalog`.`iceberg_db`.`sample` (id BIGINT COMMENT 'unique id', data STRING) WITH (
  'format-version' = '2', 'write.distribution-mode' = 'hash', 'write.format.default' = 'parquet'
);
INSERT INTO iceberg_db.sample VALUES (1, 'a'), (2, 'b');
SELECT data FROM iceberg_db.sample WHERE id = 2;
