-- %% [markdown]
-- # Orders into a lake table
--
-- Changes of orders come in a stream: new ones, and later versions of some. A Hudi table keeps one row for each order item, in a folder for each day.
--
-- `swiftwater notebook run --scratch Examples/orders.sql`

-- %% [parameters]
-- end = latest-offset

-- %% A thousand orders of three days language="sh"
-- swiftwater generate orders --count 1000 --stream order-data-stream
-- swiftwater stream get order-data-stream --limit 2

-- %% [markdown]
-- `latest-offset` ends a query at what the stream holds when it starts. It is a parameter: with `-p end=unbounded` the INSERT below goes on,
-- and `swiftwater notebook deploy Examples/orders.sql --cells insert -p end=unbounded` makes it a job of the service.

-- %% The changes
CREATE TABLE order_changes (
    order_id STRING,
    item_id STRING,
    customer_id STRING,
    product STRING,
    amount DECIMAL(3, 1),
    currency STRING,
    time_stamp STRING,
    transaction_date STRING
) WITH (
    'connector' = 'kinesis',
    'stream' = 'order-data-stream',
    'scan.stream.initpos' = 'TRIM_HORIZON',
    'scan.bounded.mode' = '${end}',
    'format' = 'json'
);

-- %% [markdown]
-- The primary key says which rows are versions of the same thing. The precombine field says which of them is the newest: of two versions the one
-- with the greater `time_stamp` stays, in whatever order they come. `PARTITIONED BY` makes the folders.

-- %% The lake table
CREATE TABLE order_hudi_cow (
    order_id STRING,
    item_id STRING,
    customer_id STRING,
    product STRING,
    amount DECIMAL(3, 1),
    currency STRING,
    time_stamp STRING,
    transaction_date STRING,
    PRIMARY KEY (order_id, item_id) NOT ENFORCED
) PARTITIONED BY (transaction_date) WITH (
    'connector' = 'hudi',
    'path' = '${data}/tables/order_hudi_cow',
    'table.type' = 'COPY_ON_WRITE',
    'precombine.field' = 'time_stamp',
    'write.operation' = 'upsert'
);

-- %% Load the orders tags=["insert"]
INSERT INTO order_hudi_cow SELECT * FROM order_changes;

-- %% How many there are
-- %flink.bsql
SELECT COUNT(*) AS orders FROM order_hudi_cow;

-- %% By day
-- %flink.bsql
-- @chart bar x=transaction_date y=orders title="Orders by day"
SELECT transaction_date, COUNT(*) AS orders, SUM(amount) AS amount FROM order_hudi_cow GROUP BY transaction_date ORDER BY transaction_date;

-- %% One of them, before
-- %flink.bsql
SELECT order_id, item_id, product, amount, time_stamp FROM order_hudi_cow
WHERE order_id = '3801' AND item_id = '23' AND transaction_date = '2020-09-02';

-- %% [markdown]
-- Now the changes: later versions of ten orders. The INSERT reads the whole stream once more; the orders that the table has already are the same as before.

-- %% Ten changes language="sh"
-- swiftwater generate orders --count 1000 --changes --stream order-data-stream

-- %% Load the changes
INSERT INTO order_hudi_cow SELECT * FROM order_changes;

-- %% Still as many
-- %flink.bsql
SELECT COUNT(*) AS orders FROM order_hudi_cow;

-- %% The same order, after
-- %flink.bsql
SELECT order_id, item_id, product, amount, time_stamp FROM order_hudi_cow
WHERE order_id = '3801' AND item_id = '23' AND transaction_date = '2020-09-02';

-- %% [markdown]
-- On the disk there is a folder for each day, with Parquet files in it, and `.hoodie` with the timeline: one commit for each load, seen as a whole or not at all.
-- Every engine that knows Hudi opens the table.

-- %% The folders and the commits language="sh"
-- cd "$SWIFTWATER_DATA/tables/order_hudi_cow"
-- ls -d */
-- swiftwater table timeline .

-- %% [markdown]
-- The files themselves have five more columns, which say in which commit, folder and file a row was written. The folder holds both versions of its file
-- until `swiftwater table clean` removes the older one; who follows the timeline reads the newer one alone.

-- %% Both versions, in the files
-- %flink.bsql
CREATE TABLE files_of_a_day (
    _hoodie_commit_time STRING, _hoodie_commit_seqno STRING, _hoodie_record_key STRING, _hoodie_partition_path STRING, _hoodie_file_name STRING,
    product STRING, amount DECIMAL(3, 1)
) WITH ('connector' = 'filesystem', 'path' = '${data}/tables/order_hudi_cow/2020-09-02', 'format' = 'parquet');
SELECT * FROM files_of_a_day WHERE _hoodie_record_key = 'order_id:3801,item_id:23' ORDER BY _hoodie_commit_time;
