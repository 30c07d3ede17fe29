CREATE TABLE `gone` (
  `id` INT,
  `v` STRING
)
WITH (
  'connector' = 'blackhole'
);
