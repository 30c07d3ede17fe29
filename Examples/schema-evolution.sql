-- %% [markdown]
-- # A table whose columns change
--
-- The table `object` of a database gets a column, then one is renamed, then one is dropped. The lake table follows by itself:
-- new columns appear, and old ones stay and read NULL. Nobody alters it.
--
-- `swiftwater notebook run --scratch Examples/schema-evolution.sql`

-- %% [markdown]
-- `row` is the whole row as it came. What is declared beside it, here the key, is taken from it or made of it.

-- %% What the database sends, and the lake table
CREATE TABLE object_changes (
    object_id INT,
    `row` VARIANT METADATA VIRTUAL,
    PRIMARY KEY (object_id) NOT ENFORCED
) WITH ('connector' = 'filesystem', 'path' = '${data}/raw/POC/db/object', 'format' = 'dms', 'dms.file-format' = 'json');
CREATE TABLE object (
    object_id INT,
    `row` VARIANT METADATA,
    PRIMARY KEY (object_id) NOT ENFORCED
) WITH ('connector' = 'hudi', 'path' = '${data}/tables/object', 'write.operation' = 'upsert');

-- %% [markdown]
-- `create table db.object (object_name varchar(255), object_description varchar(255), new_column_add varchar(255), new_field_1 varchar(255), object_id int)`
--
-- `insert into object values ("obj1", "Object-1", "", "", 1)`

-- %% The full load language="sh"
-- mkdir -p "$SWIFTWATER_DATA/raw/POC/db/object" && cd "$SWIFTWATER_DATA/raw/POC/db/object"
-- echo '{"object_name": "obj1", "object_description": "Object-1", "new_column_add": "", "new_field_1": "", "object_id": 1}' > LOAD00000001.json

-- %% Five columns
INSERT INTO object SELECT object_id, `row` FROM object_changes;

-- %% [markdown]
-- `alter table db.object add column test_column int after object_name`
--
-- `insert into object values ("obj2", 22, "test-2", "", "", 2)`

-- %% A column is added language="sh"
-- cd "$SWIFTWATER_DATA/raw/POC/db/object"
-- echo '{"Op": "I", "object_name": "obj2", "test_column": 22, "object_description": "test-2", "new_column_add": "", "new_field_1": "", "object_id": 2}' > 20230101-100000000.json

-- %% Six columns
INSERT INTO object SELECT object_id, `row` FROM object_changes;

-- %% [markdown]
-- `alter table db.object change new_field_1 new_field_2 varchar(10)`
--
-- `insert into object values ("obj3", 33, "test-3", "", "new-3", 3)`

-- %% A column is renamed language="sh"
-- cd "$SWIFTWATER_DATA/raw/POC/db/object"
-- echo '{"Op": "I", "object_name": "obj3", "test_column": 33, "object_description": "test-3", "new_column_add": "", "new_field_2": "new-3", "object_id": 3}' > 20230101-110000000.json

-- %% Seven columns
INSERT INTO object SELECT object_id, `row` FROM object_changes;

-- %% [markdown]
-- `alter table db.object drop column new_field_2`
--
-- `insert into object values ("obj4", 44, "test-4", "", 4)`

-- %% A column is dropped language="sh"
-- cd "$SWIFTWATER_DATA/raw/POC/db/object"
-- echo '{"Op": "I", "object_name": "obj4", "test_column": 44, "object_description": "test-4", "new_column_add": "", "object_id": 4}' > 20230101-120000000.json

-- %% Still seven
INSERT INTO object SELECT object_id, `row` FROM object_changes;

-- %% How the columns came to be language="sh"
-- swiftwater table schema "$SWIFTWATER_DATA/tables/object" --history

-- %% [markdown]
-- A table that declares all seven columns reads them. `new_field_1` and `new_field_2` are two columns: nothing in the data says that one is the other's new name.

-- %% The four rows
-- %flink.bsql
CREATE TABLE object_now (
    object_id INT,
    object_name STRING,
    test_column BIGINT,
    object_description STRING,
    new_column_add STRING,
    new_field_1 STRING,
    new_field_2 STRING,
    PRIMARY KEY (object_id) NOT ENFORCED
) WITH ('connector' = 'hudi', 'path' = '${data}/tables/object');
SELECT * FROM object_now ORDER BY object_id;
