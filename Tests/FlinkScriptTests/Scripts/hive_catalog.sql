-- Definitions in a Hive catalog, which is not reached from here.
-- notice: LOAD MODULE hive WITH ('hive-version' = '3.1.3') means nothing here: all built-in functions are there, and none of other modules
-- notice: USE MODULES hive, core means nothing here: all built-in functions are there, and none of other modules
-- notice: catalog myhive of type 'hive' is not reached from here: what the script defines in it is kept in memory
LOAD MODULE hive WITH ('hive-version' = '3.1.3');
USE MODULES hive, core;
CREATE CATALOG myhive WITH ('type' = 'hive', 'default-database' = 'default', 'hive-conf-dir' = '/opt/hive/conf');
USE CATALOG myhive;
CREATE DATABASE IF NOT EXISTS ods;
USE ods;
SET 'table.sql-dialect' = 'default';
CREATE TABLE IF NOT EXISTS ods.numbers (n INT) WITH ('connector' = 'datagen', 'number-of-rows' = '5');
CREATE TABLE IF NOT EXISTS sink (n INT) WITH ('connector' = 'print', 'print-identifier' = 'out');
INSERT INTO myhive.ods.sink SELECT n FROM numbers;
