-- %% [markdown]
-- # Time travel, and reading only what is new
--
-- A Hudi table keeps what it was. Each commit has an instant; the table can be read as of one, from one on, or followed as a stream
-- of changes. Here a table of orders is written three times.

-- %% Four orders
CREATE TABLE orders (
    order_id STRING, product STRING, amount INT, _hoodie_commit_time STRING METADATA VIRTUAL, PRIMARY KEY (order_id) NOT ENFORCED
) WITH ('connector' = 'hudi', 'path' = '${data}/tables/orders_history');

INSERT INTO orders VALUES ('o1', 'lamp', 10), ('o2', 'chair', 20), ('o3', 'desk', 30), ('o4', 'shelf', 40);

SELECT * FROM orders ORDER BY order_id;

-- %% [markdown]
-- The instant is when the commit was made, so it is another one in each run. A Python cell keeps it for later; names of Python stay
-- from cell to cell, and `z.sql` gives the rows of a query as an Arrow table.

-- %% The instant of the first commit language="python"
-- first = z.sql("SELECT MAX(_hoodie_commit_time) AS t FROM orders")["t"][0].as_py()
-- print(first)

-- %% Two changed, one new, then one deleted
INSERT INTO orders VALUES ('o2', 'chair', 25), ('o3', 'standing desk', 35), ('o5', 'clock', 50);

DELETE FROM orders WHERE order_id = 'o4';

SELECT * FROM orders ORDER BY order_id;

-- %% As it was language="python"
-- at = f"{first[:4]}-{first[4:6]}-{first[6:8]} {first[8:10]}:{first[10:12]}:{first[12:14]}.{first[14:]}"
-- print("as of", at)
-- z.sql(f"SELECT order_id, product, amount FROM orders FOR SYSTEM_TIME AS OF TIMESTAMP '{at}' ORDER BY order_id")

-- %% The same by an option language="python"
-- z.sql(f"SELECT COUNT(*) AS orders, SUM(amount) AS amount FROM orders /*+ OPTIONS('read.as-of-instant' = '{first}') */")

-- %% Only what was written since language="python"
-- # Incremental: the rows of later commits, as they are now. A row that was deleted is not among them.
-- z.sql(f"SELECT order_id, product, amount FROM orders /*+ OPTIONS('read.start-commit' = '{first}') */ ORDER BY order_id")

-- %% Then and now language="python"
-- # @chart bar x=product y=amount_before,amount title="Amounts as of the first commit, and now"
-- # pandas joins the two states; z.register makes the result a table that SQL cells can read.
-- then = z.pandas(f"SELECT order_id, product, amount FROM orders /*+ OPTIONS('read.as-of-instant' = '{first}') */")
-- now = z.pandas("SELECT order_id, product, amount FROM orders")
-- both = then.merge(now, on="order_id", how="outer", suffixes=("_before", ""))
-- both["product"] = both["product"].fillna(both["product_before"])
-- z.register("then_and_now", both[["order_id", "product", "amount_before", "amount"]])
-- both[["product", "amount_before", "amount"]]

-- %% The difference
SELECT order_id, product, amount_before, amount,
       CASE WHEN amount IS NULL THEN 'deleted' WHEN amount_before IS NULL THEN 'new' WHEN amount <> amount_before THEN 'changed' ELSE 'same' END AS what
  FROM then_and_now ORDER BY order_id;

-- %% [markdown]
-- ## Followed as a stream
--
-- With `read.streaming.enabled` the query goes on with every commit that comes, so the cell says when it is enough: after seven rows, or
-- after some time.

-- %% Each version that was written, as it came
-- %flink.ssql(type=append)
-- @rows 7
-- Four first versions, then three.
SELECT order_id, product, amount
  FROM orders /*+ OPTIONS('read.streaming.enabled' = 'true', 'read.start-commit' = 'earliest', 'read.streaming.changelog' = 'none') */;

-- %% The changes applied
-- %flink.ssql(type=update)
-- @for 2s
-- As a changelog, updates take back the row before and deletes the row itself: the sum is always that of the table.
SELECT COUNT(*) AS orders, SUM(amount) AS amount
  FROM orders /*+ OPTIONS('read.streaming.enabled' = 'true', 'read.start-commit' = 'earliest', 'read.streaming.check-interval' = '100 ms') */;
