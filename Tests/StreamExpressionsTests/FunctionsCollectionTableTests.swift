import Testing

/// Values of functions of arrays and maps, as Flink 2.3.0 gives them in the session time zone UTC.
@Test func collectionFunctionsMatchFlink() {
    FunctionTable(##"""
        SPLIT('a,b,,c', ',')  =>  '[a, b, , c]'
        SPLIT('', ',')  =>  '[]'
        SPLIT('abc', '')  =>  '[a, b, c]'
        SPLIT('abc', CAST(NULL AS STRING))  =>  NULL
        STR_TO_MAP('a=1;b=2', ';', '=')  =>  '{a=1, b=2}'
        STR_TO_MAP('')  =>  '{}'
        STR_TO_MAP('a=1,a=2')  =>  '{a=2}'
        ARRAY[1, 2.5]  =>  '[1.0, 2.5]'
        ARRAY[1, CAST(NULL AS INT)]  =>  '[1, NULL]'
        ARRAY['a', 'bcd']  =>  '[a, bcd]'
        MAP['a', 1, 'bb', 2]  =>  '{a=1, bb=2}'
        MAP['a', 1, 'a', 2]  =>  '{a=2}'
        ROW(1, 'a', CAST(NULL AS INT))  =>  '(1, a, NULL)'
        CARDINALITY(ARRAY[1,2])  =>  '2'
        ELEMENT(ARRAY[CAST(NULL AS INT)])  =>  NULL
        ARRAY[1,2][3]  =>  NULL
        MAP['a',1]['b']  =>  NULL
        ARRAY_CONTAINS(ARRAY[1, CAST(NULL AS INT)], CAST(NULL AS INT))  =>  'TRUE'
        ARRAY_CONTAINS(ARRAY[1, 2], 3)  =>  'FALSE'
        ARRAY_DISTINCT(ARRAY[1, 2, 1, CAST(NULL AS INT), CAST(NULL AS INT)])  =>  '[1, 2, NULL]'
        ARRAY_APPEND(ARRAY[1, 2], 3)  =>  '[1, 2, 3]'
        ARRAY_APPEND(ARRAY[1, 2], CAST(NULL AS INT))  =>  '[1, 2, NULL]'
        ARRAY_APPEND(CAST(NULL AS ARRAY<INT>), 1)  =>  NULL
        ARRAY_PREPEND(ARRAY[1, 2], 0)  =>  '[0, 1, 2]'
        ARRAY_CONCAT(ARRAY[1], ARRAY[2, 3])  =>  '[1, 2, 3]'
        ARRAY_CONCAT(ARRAY[1], CAST(NULL AS ARRAY<INT>))  =>  NULL
        ARRAY_JOIN(ARRAY['a', CAST(NULL AS STRING), 'b'], ',')  =>  'a,b'
        ARRAY_JOIN(ARRAY['a', CAST(NULL AS STRING), 'b'], ',', '?')  =>  'a,?,b'
        ARRAY_MAX(ARRAY[1, 3, CAST(NULL AS INT)])  =>  '3'
        ARRAY_MIN(ARRAY[1, 3, CAST(NULL AS INT)])  =>  '1'
        ARRAY_POSITION(ARRAY[1, 3, 3], 3)  =>  '2'
        ARRAY_POSITION(ARRAY[1, 3, 3], 4)  =>  '0'
        ARRAY_POSITION(ARRAY[1, CAST(NULL AS INT)], CAST(NULL AS INT))  =>  NULL
        ARRAY_REMOVE(ARRAY[1, 3, 3, CAST(NULL AS INT)], 3)  =>  '[1, NULL]'
        ARRAY_REMOVE(ARRAY[1, CAST(NULL AS INT)], CAST(NULL AS INT))  =>  '[1]'
        ARRAY_REVERSE(ARRAY[1, 3, 4])  =>  '[4, 3, 1]'
        ARRAY_SLICE(ARRAY['a','b','c','d'], 2, 3)  =>  '[b, c]'
        ARRAY_SLICE(ARRAY['a','b','c','d'], -2)  =>  '[c, d]'
        ARRAY_SLICE(ARRAY['a','b','c','d'], -2, -1)  =>  '[c, d]'
        ARRAY_SLICE(ARRAY['a','b','c','d'], 0, 2)  =>  '[a, b]'
        ARRAY_SLICE(ARRAY['a','b','c','d'], 3, 1)  =>  '[]'
        ARRAY_SLICE(ARRAY['a','b','c','d'], 2, 0)  =>  '[]'
        ARRAY_SLICE(ARRAY['a','b','c','d'], -9, 2)  =>  '[a, b]'
        ARRAY_SLICE(ARRAY['a','b','c','d'], 9, 12)  =>  '[]'
        ARRAY_SORT(ARRAY[3, 1, CAST(NULL AS INT), 2])  =>  '[NULL, 1, 2, 3]'
        ARRAY_SORT(ARRAY[3, 1, CAST(NULL AS INT), 2], FALSE)  =>  '[3, 2, 1, NULL]'
        ARRAY_SORT(ARRAY[3, 1, CAST(NULL AS INT), 2], TRUE, FALSE)  =>  '[1, 2, 3, NULL]'
        ARRAY_SORT(ARRAY[3, 1, CAST(NULL AS INT), 2], FALSE, TRUE)  =>  '[NULL, 3, 2, 1]'
        ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3, 3])  =>  '[1, 2, 3]'
        ARRAY_EXCEPT(ARRAY[1, 1, 1, 2], ARRAY[1])  =>  '[2]'
        ARRAY_INTERSECT(ARRAY[1, 1, 2], ARRAY[1, 1, 3])  =>  '[1]'
        MAP_KEYS(MAP['b', 1, 'a', 2])  =>  '[b, a]'
        MAP_VALUES(MAP['b', 1, 'a', 2])  =>  '[1, 2]'
        MAP_ENTRIES(MAP['b', 1, 'a', 2])  =>  '[(b, 1), (a, 2)]'
        MAP_FROM_ARRAYS(ARRAY['a', 'b'], ARRAY[1, 2])  =>  '{a=1, b=2}'
        MAP_UNION(MAP['a', 1], MAP['a', 2, 'b', 3])  =>  '{a=2, b=3}'
        ARRAY_SORT(ARRAY['b', 'B', 'a'])  =>  '[B, a, b]'
        ARRAY_MAX(ARRAY['b', 'c'])  =>  'c'
        ARRAY_CONTAINS(ARRAY['a'], 'a')  =>  'TRUE'
        ARRAY_CONTAINS(ARRAY[ARRAY[1]], ARRAY[1])  =>  'TRUE'
        ARRAY_CONCAT(ARRAY[1], ARRAY[2.5])  =>  '[1.0, 2.5]'
        MAP[1, 'a'][1]  =>  'a'
        ELEMENT(ARRAY[1])  =>  '1'
        CARDINALITY(MAP['a', 1])  =>  '1'
        TYPEOF(TIMESTAMP '2024-01-01 00:00:00')  =>  'TIMESTAMP(0) NOT NULL'
        TYPEOF(CAST(NULL AS STRING))  =>  'STRING'
        SPLIT('a1b2c', '[0-9]')  =>  '[a1b2c]'
        STR_TO_MAP('a:1|b:2', '\|', ':')  =>  '{a=1, b=2}'
        STR_TO_MAP(',', ',', '=')  =>  '{}'
        TYPEOF(1)  =>  'INT NOT NULL'
        TYPEOF('abc')  =>  'CHAR(3) NOT NULL'
        ARRAY_SLICE(ARRAY[1,2,3], 0, 0)  =>  '[1]'
        ARRAY_SLICE(ARRAY[1,2,3], 1, 0)  =>  '[1]'
        ARRAY_SLICE(ARRAY[1,2,3], -1, -3)  =>  '[]'
        ARRAY_SLICE(ARRAY[1,2,3], 2, -9)  =>  '[]'
        ARRAY_SLICE(ARRAY[1,2,3], -9, -9)  =>  '[]'
        ARRAY_DISTINCT(ARRAY['a','b','a'])  =>  '[a, b]'
        ARRAY_MIN(ARRAY['b','a'])  =>  'a'
        ARRAY_MAX(ARRAY[CAST(NULL AS INT)])  =>  NULL
        ARRAY_JOIN(ARRAY['a','b'], '')  =>  'ab'
        MAP_UNION(MAP['a', 1], MAP['b', 2], MAP['a', 3])  =>  '{a=3, b=2}'
        MAP_KEYS(CAST(NULL AS MAP<STRING, INT>))  =>  NULL
        CARDINALITY(CAST(NULL AS ARRAY<INT>))  =>  NULL
        ARRAY_CONTAINS(CAST(NULL AS ARRAY<INT>), 1)  =>  NULL
        TYPEOF(5, TRUE)  =>  'INT NOT NULL'
        CARDINALITY(ARRAY[CAST(NULL AS INT)])  =>  '1'
        SPLIT('a.b.c', '.')  =>  '[a, b, c]'
        """##).check()
}
