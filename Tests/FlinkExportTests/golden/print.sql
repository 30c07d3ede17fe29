CREATE TABLE `shown` (
  `id` INT,
  `v` STRING
)
WITH (
  'connector' = 'print',
  'print-identifier' = 'x'
);
-- table shown: rows are printed by the workers: they are in the TaskManagers' .out files
