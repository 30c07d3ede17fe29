-- %% [markdown]
-- # A Kafka mirror, and a consumer that moves
--
-- Topics of one Kafka cluster are copied to another, with the offsets of the groups that read them. When the first cluster is gone,
-- consumers go on at the second one where they were.
--
-- No Kafka is needed: `swiftwater kafka mock` is a cluster in memory. It makes no topics when a client asks for one, describes no settings and
-- lists no groups, so here the topics are made at both ends, settings are not mirrored, and the group is named. With real brokers
-- `Topologies/mirror.yaml` does all three.

-- %% The first cluster language="sh"
-- # @background
-- mkdir -p "$SWIFTWATER_DATA"
-- rm -rf "$SWIFTWATER_DATA/billed"
-- echo $$ > "$SWIFTWATER_DATA/dc1.pid"
-- exec swiftwater kafka mock --topic orders:2 --bootstrap-file "$SWIFTWATER_DATA/dc1"

-- %% The second cluster language="sh"
-- # @background
-- mkdir -p "$SWIFTWATER_DATA"
-- exec swiftwater kafka mock --topic orders:2 --bootstrap-file "$SWIFTWATER_DATA/dc2"

-- %% Both answer language="sh"
-- for i in $(seq 200); do
--   if [ -s "$SWIFTWATER_DATA/dc1" ] && [ -s "$SWIFTWATER_DATA/dc2" ]; then break; fi
--   sleep 0.05
-- done
-- for dc in dc1 dc2; do echo "$dc"; swiftwater kafka topics --bootstrap "$(cat "$SWIFTWATER_DATA/$dc")"; done

-- %% Tables of both clusters language="python"
-- # The clusters pick their ports, so the addresses are known only now.
-- import os
-- dc1, dc2 = (open(os.path.join(os.environ["SWIFTWATER_DATA"], name)).read() for name in ("dc1", "dc2"))
-- for name, cluster in (("dc1", dc1), ("dc2", dc2)):
--     z.sql(f"""
--         CREATE TEMPORARY TABLE orders_{name} (
--             order_id INT, product STRING, amount INT,
--             `partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA VIRTUAL
--         ) WITH ('connector' = 'kafka', 'topic' = 'orders', 'properties.bootstrap.servers' = '{cluster}',
--                 'properties.group.id' = 'billing', 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
--                 'key.format' = 'raw', 'key.fields' = 'product', 'value.format' = 'json')""")
-- # A mirror is a job between two tables with the same options.
-- for end in ("from", "to"):
--     z.sql(f"""
--         CREATE TEMPORARY TABLE mirror_{end} (
--             topic STRING, `partition` INT, `offset` BIGINT, `timestamp` BIGINT, `key` BYTES, `value` BYTES, headers BYTES
--         ) WITH ('connector' = 'kafka-mirror', 'from.bootstrap.servers' = '{dc1}', 'to.bootstrap.servers' = '{dc2}',
--                 'topics' = 'orders', 'groups' = 'billing', 'sync.topics' = 'false', 'sync.configs' = 'false', 'until' = 'latest')""")
-- print("dc1 is", dc1, "and dc2 is", dc2)

-- %% Orders at the first cluster
-- The second one holds records of a rehearsal, so the same order has another offset there.
CREATE TEMPORARY TABLE numbers (n INT) WITH ('connector' = 'datagen', 'number-of-rows' = '100', 'rows-per-second' = '100000000',
  'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '100');

INSERT INTO orders_dc2 SELECT -n, ELT(1 + MOD(n, 6), 'lamp', 'chair', 'desk', 'shelf', 'clock', 'sofa'), 0 FROM numbers WHERE n <= 9;

INSERT INTO orders_dc1 SELECT n, ELT(1 + MOD(n, 6), 'lamp', 'chair', 'desk', 'shelf', 'clock', 'sofa'), n * 10 FROM numbers WHERE n <= 60;

-- %% The group billing reads what there is language="sh"
-- # A job with checkpoints commits its offsets to its group after each of them. This one ends at the end of the topic.
-- cat > "$SWIFTWATER_DATA/billing.sql" <<'SQL'
-- CREATE TABLE orders (order_id INT, product STRING, amount INT)
--   WITH ('connector' = 'kafka', 'topic' = 'orders', 'properties.bootstrap.servers' = 'BOOTSTRAP', 'properties.group.id' = 'billing',
--         'scan.startup.mode' = 'group-offsets', 'properties.auto.offset.reset' = 'earliest', 'scan.bounded.mode' = 'latest-offset',
--         'format' = 'json');
-- CREATE TABLE billed (order_id INT, product STRING, amount INT, cluster STRING)
--   WITH ('connector' = 'filesystem', 'path' = 'DATA/billed', 'format' = 'json');
-- INSERT INTO billed SELECT order_id, product, amount, 'NAME' FROM orders;
-- SQL
-- sed "s|BOOTSTRAP|$(cat "$SWIFTWATER_DATA/dc1")|; s|DATA|$SWIFTWATER_DATA|; s|NAME|dc1|" "$SWIFTWATER_DATA/billing.sql" > "$SWIFTWATER_DATA/billing-dc1.sql"
-- swiftwater run --quiet "$SWIFTWATER_DATA/billing-dc1.sql"
-- swiftwater kafka lag --group billing --bootstrap "$(cat "$SWIFTWATER_DATA/dc1")"

-- %% More orders, which billing has not seen
INSERT INTO orders_dc1 SELECT n, ELT(1 + MOD(n, 6), 'lamp', 'chair', 'desk', 'shelf', 'clock', 'sofa'), n * 10 FROM numbers WHERE n > 60;

-- %% The mirror
-- With 'until' = 'latest' it ends with the records that there are; without, it goes on.
INSERT INTO mirror_to SELECT * FROM mirror_from;

-- %% The same orders at other offsets
SELECT here.order_id, here.`partition`, here.`offset` AS offset_in_dc1, there.`offset` AS offset_in_dc2
  FROM orders_dc1 AS here JOIN orders_dc2 AS there ON here.order_id = there.order_id
 WHERE here.order_id IN (1, 2, 60, 61, 100) ORDER BY order_id;

-- %% The group at both clusters language="sh"
-- # What billing has read is translated: it is behind the last order that it has read, at both.
-- for dc in dc1 dc2; do echo "$dc"; swiftwater kafka lag --group billing --bootstrap "$(cat "$SWIFTWATER_DATA/$dc")"; done

-- %% The first cluster is gone, and billing moves language="sh"
-- kill "$(cat "$SWIFTWATER_DATA/dc1.pid")"
-- while kill -0 "$(cat "$SWIFTWATER_DATA/dc1.pid")" 2> /dev/null; do sleep 0.05; done
-- sed "s|BOOTSTRAP|$(cat "$SWIFTWATER_DATA/dc2")|; s|DATA|$SWIFTWATER_DATA|; s|NAME|dc2|" "$SWIFTWATER_DATA/billing.sql" > "$SWIFTWATER_DATA/billing-dc2.sql"
-- swiftwater run --quiet "$SWIFTWATER_DATA/billing-dc2.sql"
-- swiftwater kafka lag --group billing --bootstrap "$(cat "$SWIFTWATER_DATA/dc2")"

-- %% Every order once
-- @chart bar x=cluster y=orders title="Orders that billing read, by cluster"
-- Sixty from the first cluster, forty from the second: none is lost, none comes twice, and none is of the rehearsal.
CREATE TABLE billed (order_id INT, product STRING, amount INT, cluster STRING)
  WITH ('connector' = 'filesystem', 'path' = '${data}/billed', 'format' = 'json');

SELECT cluster, COUNT(*) AS orders, COUNT(DISTINCT order_id) AS different, MIN(order_id) AS first_order, MAX(order_id) AS last_order
  FROM billed GROUP BY cluster ORDER BY cluster;

-- %% [markdown]
-- A real mirror carries offsets over every few seconds. A group that moves in between reads again what it had read since; it never misses
-- a record that was copied.
