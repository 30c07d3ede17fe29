-- %% [markdown]
-- # Records without a fixed shape
--
-- A plant's devices send nested JSON whose parts differ from record to record. A VARIANT column takes any of it, and queries reach into it:
-- by name, by index, and by making rows of arrays.
--
-- `swiftwater notebook run --scratch Examples/semistructured.sql`

-- %% One record: a message with ten values language="sh"
-- rm -rf "$SWIFTWATER_DATA/semistructured" && mkdir -p "$SWIFTWATER_DATA/semistructured/subscriptions"
-- cat > "$SWIFTWATER_DATA/semistructured/subscriptions/subscription.json" <<'END'
-- {"topicId":1001,"topicFilter":"$aws\/sitewise\/asset-models\/+\/assets\/+\/properties\/+","qos":0,"messages":[{"format":"json","topic":"$aws\/sitewise\/asset-models\/8926cf44-14ea-4cd8-a7c6-e61af641dbeb\/assets\/0aaf2aa2-0299-442a-b2ea-ecf3d62f2a2c\/properties\/3ff67d41-bf69-4d57-b461-6f1513e127a4","timestamp":1616381297183,"payload":{"type":"PropertyValueUpdate","payload":{"assetId":"0aaf2aa2-0299-442a-b2ea-ecf3d62f2a2c","propertyId":"3ff67d41-bf69-4d57-b461-6f1513e127a4","values":[{"timestamp":{"timeInSeconds":1616381289,"offsetInNanos":425000000},"quality":"GOOD","value":{"doubleValue":0}},{"timestamp":{"timeInSeconds":1616381292,"offsetInNanos":425000000},"quality":"FAIR","value":{"doubleValue":0}},{"timestamp":{"timeInSeconds":1616381286,"offsetInNanos":425000000},"quality":"GOOD","value":{"doubleValue":0}},{"timestamp":{"timeInSeconds":1616381293,"offsetInNanos":425000000},"quality":"GOOD","value":{"doubleValue":0}},{"timestamp":{"timeInSeconds":1616381287,"offsetInNanos":425000000},"quality":"GOOD","value":{"doubleValue":0}},{"timestamp":{"timeInSeconds":1616381290,"offsetInNanos":425000000},"quality":"GOOD","value":{"doubleValue":0}},{"timestamp":{"timeInSeconds":1616381290,"offsetInNanos":925000000},"quality":"GOOD","value":{"doubleValue":0}},{"timestamp":{"timeInSeconds":1616381294,"offsetInNanos":425000000},"quality":"FAIR","value":{"doubleValue":0}},{"timestamp":{"timeInSeconds":1616381285,"offsetInNanos":425000000},"quality":"GOOD","value":{"doubleValue":0}},{"timestamp":{"timeInSeconds":1616381288,"offsetInNanos":425000000},"quality":"GOOD","value":{"doubleValue":0}}]}}}]}
-- END

-- %% [markdown]
-- Scalars become columns of their types, the array of messages stays as it is. Names are case-sensitive, as those in JSON are.

-- %% A table with a VARIANT
CREATE TABLE subscription_auto (
    topicId INT,
    topicFilter STRING,
    qos INT,
    messages VARIANT
) WITH ('connector' = 'filesystem', 'path' = '${data}/semistructured/subscriptions', 'format' = 'json');

-- %% A row of another shape
INSERT INTO subscription_auto VALUES (0, 'topicFiltervalue', 0, PARSE_JSON('[{"format":"json"},{"topic": "sample topic"},[1,2,3]]'));

-- %% [markdown]
-- An index begins at 1, as everywhere in Flink's SQL. What is not there is NULL.

-- %% By index and name
SELECT topicId, messages[1].format AS format, messages[1].payload.type AS type FROM subscription_auto ORDER BY topicId;

-- %% [markdown]
-- `FROM c, c.messages AS o` makes a row of each message. `AT i` counts them from 0.

-- %% A row for each message
SELECT c.*, o FROM subscription_auto c, c.messages AS o WHERE o.topic = 'sample topic';
SELECT o, i FROM subscription_auto c, c.messages AS o AT i WHERE o.topic = 'sample topic';

-- %% [markdown]
-- Arrays in arrays need it twice. Two of the three messages of row 0 are objects: un-nesting what is no array gives nothing.

-- %% A row for each element of the inner array
SELECT a, e FROM subscription_auto c, c.messages AS a, a.a AS e WHERE a = PARSE_JSON('[1,2,3]');

-- %% [markdown]
-- Types are those of each value. A comparison of different types is FALSE, not an error: text is never greater than a number. `CAST` fails if the value is of another type, `TRY_CAST` gives NULL.

-- %% Mixed types
SELECT v, v > 5 AS more_than_5, v = 'abc' AS is_abc, TRY_CAST(v AS INT) AS as_int
FROM (SELECT PARSE_JSON(t) AS v FROM (VALUES ('7'), ('"abc"'), ('"7"'), ('[7]'), ('{"n": 7}')) AS x(t));

-- %% [markdown]
-- The functions over JSON text work, too, on text that is JSON anyway, or on a VARIANT through `JSON_STRING`.

-- %% Functions over JSON text
SELECT topicId, JSON_VALUE(JSON_STRING(messages), '$[0].payload.type') AS type, JSON_EXISTS(JSON_STRING(messages), '$[0].topic') AS has_topic
FROM subscription_auto ORDER BY topicId;

-- %% [markdown]
-- Un-nested down to the measured values, the record is an ordinary table.

-- %% The measured values
SET 'table.local-time-zone' = 'UTC';
CREATE VIEW measured AS
SELECT o.payload.payload.assetId AS asset_id,
       o.payload.payload.propertyId AS property_id,
       TO_TIMESTAMP_LTZ(CAST(v.`timestamp`.timeInSeconds AS BIGINT) * 1000 + CAST(v.`timestamp`.offsetInNanos AS BIGINT) / 1000000, 3) AS measured_at,
       CAST(v.quality AS STRING) AS quality,
       CAST(v.`value`.doubleValue AS DOUBLE) AS measured_value
FROM subscription_auto c, c.messages AS o, o.payload.payload.`values` AS v;
SELECT measured_at, quality, measured_value FROM measured ORDER BY measured_at;

-- %% Their quality
-- @chart pie x=quality y=num
SELECT quality, COUNT(*) AS num FROM measured GROUP BY quality;

-- %% [markdown]
-- Joined with what is known of the assets. The keys are paths into the VARIANT.

-- %% The asset's name
CREATE VIEW asset_metadata AS
SELECT * FROM (VALUES
    ('0aaf2aa2-0299-442a-b2ea-ecf3d62f2a2c', 'IAH10 Line 1', '3ff67d41-bf69-4d57-b461-6f1513e127a4', 'stop')
) AS m(asset_id, asset_name, asset_property_id, asset_property_name);
SELECT c.topicId, c.qos, a.asset_name, o.payload.payload.assetId, a.asset_property_name, o.payload.payload.propertyId
FROM subscription_auto AS c, c.messages AS o, asset_metadata AS a
WHERE o.payload.payload.assetId = a.asset_id AND o.payload.payload.propertyId = a.asset_property_id AND o.payload.type = 'PropertyValueUpdate';

-- %% [markdown]
-- When nothing is known of the shape, the whole record is one value.

-- %% The whole record in one column
CREATE TABLE subscription_noshred (s STRING) WITH ('connector' = 'filesystem', 'path' = '${data}/semistructured/subscriptions', 'format' = 'raw');
SELECT PARSE_JSON(s).topicId AS topicId, PARSE_JSON(s).qos AS qos FROM subscription_noshred;
