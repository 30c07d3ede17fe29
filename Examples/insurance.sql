-- %% [markdown]
-- # Policies and their changes, merged
--
-- A full load of 25 insurance policies, then a file with five changes: three updates, two new policies. They go into a Hudi table and a Delta table,
-- in one commit each, and every policy is there once.
--
-- `swiftwater notebook run --scratch Examples/insurance.sql`

-- %% The full load language="sh"
-- mkdir -p "$SWIFTWATER_DATA/insurance/fullload" "$SWIFTWATER_DATA/insurance/cdcload"
-- cat > "$SWIFTWATER_DATA/insurance/fullload/full-load.csv" <<'END'
-- policy_id,expiry_date,location_name,state_code,region_name,insured_value,business_type,earthquake,flood
-- 200242,2023-01-02,Urban,NY,East,1617630,Retail,N,N
-- 200314,2023-01-02,Urban,NY,East,8678500,Apartment,Y,Y
-- 200359,2023-01-02,Rural,WI,Midwest,2052660,Farming,N,N
-- 200315,2023-01-02,Urban,NY,East,17580000,Apartment,Y,Y
-- 200385,2023-01-02,Urban,NY,East,1925000,Hospitality,N,N
-- 200388,2023-01-04,Urban,IL,Midwest,12934500,Apartment,Y,Y
-- 200358,2023-01-05,Urban,WI,Midwest,928300,Office Bldg,N,N
-- 200264,2023-01-07,Rural,NY,East,2219900,Farming,N,N
-- 200265,2023-01-07,Urban,NY,East,14100000,Apartment,Y,Y
-- 100582,2023-03-25,Urban,NJ,East,4651680,Apartment,Y,Y
-- 100487,2023-03-25,Urban,NY,East,5990067,Apartment,N,N
-- 100519,2023-03-25,Rural,NY,East,4102500,Farming,N,N
-- 100462,2023-03-25,Urban,NY,East,3400000,Construction,Y,Y
-- 100486,2023-03-26,Urban,NY,East,9973900,Apartment,Y,Y
-- 100463,2023-03-27,Urban,NY,East,15480000,Office Bldg,Y,Y
-- 100595,2023-03-27,Rural,NY,East,2446600,Farming,N,N
-- 100617,2023-03-27,Urban,VT,Northeast,8861500,Office Bldg,N,N
-- 100580,2023-03-30,Urban,NH,Northeast,97920,Office Bldg,Y,Y
-- 100581,2023-03-30,Urban,NY,East,5150000,Apartment,Y,Y
-- 100475,2023-03-31,Rural,WI,Midwest,1451662,Farming,N,N
-- 100503,2023-03-31,Urban,NJ,East,1761960,Office Bldg,N,N
-- 100504,2023-03-31,Rural,NY,East,1649105,Farming,N,N
-- 100616,2023-03-31,Urban,NY,East,2329500,Apartment,N,N
-- 100611,2023-04-25,Urban,NJ,East,1595500,Office Bldg,Y,Y
-- 100621,2023-04-25,Urban,MI,Central,394220,Retail,N,N
-- END

-- %% [markdown]
-- The first line has names of its own, `earthquake` and `flood`, so the columns are taken by their position: `csv.header` leaves that line out.

-- %% The policies of the full load
CREATE TABLE full_load (
    policy_id INTEGER,
    expiry_date DATE,
    location_name STRING,
    state_code STRING,
    region_name STRING,
    insured_value INTEGER,
    business_type STRING,
    earthquake_coverage STRING,
    flood_coverage STRING
) WITH ('connector' = 'filesystem', 'path' = '${data}/insurance/fullload', 'format' = 'csv', 'csv.header' = 'true');

-- %% Two lake tables of the same columns
CREATE TABLE insurance (PRIMARY KEY (policy_id) NOT ENFORCED)
WITH ('connector' = 'hudi', 'path' = '${data}/tables/insurance', 'write.operation' = 'upsert')
LIKE full_load (EXCLUDING ALL);
CREATE TABLE delta_insurance (PRIMARY KEY (policy_id) NOT ENFORCED)
WITH ('connector' = 'delta', 'path' = '${data}/tables/delta_insurance')
LIKE full_load (EXCLUDING ALL);

-- %% Load them
-- INSERTs in one cell are one job: the rows are read once.
INSERT INTO insurance SELECT * FROM full_load;
INSERT INTO delta_insurance SELECT * FROM full_load;

-- %% Before
-- %flink.bsql
SELECT COUNT(*) AS policies, SUM(CAST(insured_value AS BIGINT)) AS insured FROM insurance;

-- %% Three of five
-- %flink.bsql
SELECT * FROM delta_insurance WHERE policy_id IN (100462, 100463, 100475, 110001, 110002) ORDER BY policy_id;

-- %% [markdown]
-- Changes begin with a letter: U for an update, I for an insert, D for a delete. That is how AWS DMS writes them, and format `dms` makes a changelog of it.

-- %% Five changes language="sh"
-- cat > "$SWIFTWATER_DATA/insurance/cdcload/cdc-load.csv" <<'END'
-- U,100462,2024-12-31,Urban,NY,East,3400000,Construction,Y,Y
-- U,100463,2023-03-27,Urban,NY,East,1000000,Office Bldg,Y,Y
-- U,100475,2023-03-31,Rural,WI,Midwest,1451662,Farming,N,Y
-- I,110001,2024-03-31,Urban,CA,WEST,210000,Office Bldg,N,N
-- I,110002,2024-03-31,Rural,FL,East,975000,Retail,N,Y
-- END

-- %% Merge them
CREATE TABLE cdc_load (PRIMARY KEY (policy_id) NOT ENFORCED)
WITH ('connector' = 'filesystem', 'path' = '${data}/insurance/cdcload', 'format' = 'dms', 'dms.file-format' = 'csv')
LIKE full_load (EXCLUDING ALL);
INSERT INTO insurance SELECT * FROM cdc_load;
INSERT INTO delta_insurance SELECT * FROM cdc_load;

-- %% [markdown]
-- 100462 expires on 2024-12-31, 100463 is insured for a million, 100475 lies in a flood zone now, and 110001 and 110002 are new.

-- %% Five of five
-- %flink.bsql
SELECT * FROM delta_insurance WHERE policy_id IN (100462, 100463, 100475, 110001, 110002) ORDER BY policy_id;

-- %% After
-- %flink.bsql
SELECT COUNT(*) AS policies, SUM(CAST(insured_value AS BIGINT)) AS insured FROM insurance;

-- %% What differs between the two tables: nothing
-- %flink.bsql
(SELECT * FROM insurance EXCEPT SELECT * FROM delta_insurance)
UNION ALL
(SELECT * FROM delta_insurance EXCEPT SELECT * FROM insurance);

-- %% Insured value by state
-- %flink.bsql
-- @chart bar x=state_code y=insured title="Insured value by state"
SELECT state_code, COUNT(*) AS policies, SUM(CAST(insured_value AS BIGINT)) AS insured FROM insurance GROUP BY state_code ORDER BY insured DESC;
