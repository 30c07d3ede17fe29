"""What boto3's client finds at a DynamoDB endpoint: answers, errors and their texts.  dynamodb_client.py ENDPOINT"""
import json
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

db = boto3.client("dynamodb", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
                  config=Config(retries={"max_attempts": 1}))
S, N = (lambda v: {"S": v}), (lambda v: {"N": str(v)})
checks = 0


def same(found, wanted):
    global checks
    checks += 1
    assert found == wanted, f"\nfound  {found}\nwanted {wanted}"


def refused(kind, message, operation, **arguments):
    global checks
    checks += 1
    try:
        answer = getattr(db, operation)(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        assert (found["Code"], found["Message"]) == (kind, message), f"{operation}: {found}\nwanted {kind}: {message}"
        return error.response
    raise AssertionError(f"{operation} {arguments} was not refused: {answer}")


def invalid(message, operation, **arguments):
    return refused("ValidationException", message, operation, **arguments)


def create(name, keys, **more):
    types = {"pk": "S", "sk": "N", "g": "S", "h": "N", "b": "B"}
    used = set(keys) | {e["AttributeName"] for i in more.get("GlobalSecondaryIndexes", []) + more.get("LocalSecondaryIndexes", []) for e in i["KeySchema"]}
    answer = db.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": k, "KeyType": t} for k, t in zip(keys, ("HASH", "RANGE"))],
        AttributeDefinitions=[{"AttributeName": k, "AttributeType": types[k]} for k in sorted(used)], **more)["TableDescription"]
    same(answer["TableStatus"], "CREATING")
    db.get_waiter("table_exists").wait(TableName=name)
    return name


def index(name, *keys, kind="ALL", others=None):
    projection = {"ProjectionType": kind} | ({"NonKeyAttributes": others} if others else {})
    return {"IndexName": name, "KeySchema": [{"AttributeName": k, "KeyType": t} for k, t in zip(keys, ("HASH", "RANGE"))], "Projection": projection}


def tables():
    create("plain", ["pk"])
    found = db.describe_table(TableName="plain")["Table"]
    same((found["TableStatus"], found["ItemCount"], found["TableSizeBytes"]), ("ACTIVE", 0, 0))
    same(found["TableArn"], "arn:aws:dynamodb:us-east-1:000000000000:table/plain")
    same(db.describe_table(TableName=found["TableArn"])["Table"]["TableName"], "plain")
    refused("ResourceInUseException", "Table already exists: plain", "create_table", TableName="plain", BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}])
    refused("ResourceNotFoundException", "Requested resource not found: Table: nothing not found", "describe_table", TableName="nothing")
    refused("ResourceNotFoundException", "Requested resource not found", "get_item", TableName="nothing", Key={"pk": S("a")})
    invalid("1 validation error detected: Value 'a!b' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: "
            "[a-zA-Z0-9_.-]+", "describe_table", TableName="a!b")
    base = dict(TableName="refused", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}])
    invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
            "create_table", **base)
    invalid("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
            "create_table", **base, BillingMode="PAY_PER_REQUEST", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
    invalid("One or more parameter values were invalid: Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
            "create_table", **base, BillingMode="PAY_PER_REQUEST", LocalSecondaryIndexes=[index("i_1", "pk")])
    invalid("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [g], AttributeDefinitions: [pk]",
            "create_table", **base, BillingMode="PAY_PER_REQUEST", GlobalSecondaryIndexes=[index("i_1", "g")])
    invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type", "create_table",
            **base | {"KeySchema": [{"AttributeName": "pk", "KeyType": "RANGE"}]}, BillingMode="PAY_PER_REQUEST")
    for name in ("l-1", "l-2", "l-3"):
        create(name, ["pk"])
    pages = db.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 2})
    same([n for p in pages for n in p["TableNames"]], ["l-1", "l-2", "l-3", "plain"])
    db.update_table(TableName="l-1", DeletionProtectionEnabled=True)
    invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.", "delete_table", TableName="l-1")
    db.update_table(TableName="l-1", DeletionProtectionEnabled=False)
    for name in ("l-1", "l-2", "l-3"):
        same(db.delete_table(TableName=name)["TableDescription"]["TableStatus"], "DELETING")
        db.get_waiter("table_not_exists").wait(TableName=name)
    answer = db.update_table(TableName="plain", BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6})
    same(answer["TableDescription"]["ProvisionedThroughput"]["WriteCapacityUnits"], 6)
    arn = found["TableArn"]
    db.tag_resource(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}])
    db.untag_resource(ResourceArn=arn, TagKeys=["l"])
    same(db.list_tags_of_resource(ResourceArn=arn)["Tags"], [{"Key": "k", "Value": "v"}])
    same(db.describe_continuous_backups(TableName="plain")["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"], "DISABLED")
    db.update_continuous_backups(TableName="plain", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    same(db.describe_continuous_backups(TableName="plain")["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"], "ENABLED")
    same(db.describe_limits()["TableMaxReadCapacityUnits"], 40_000)


def items():
    create("items", ["pk", "sk"])
    item = {"pk": S("a"), "sk": N(1), "s": S("é\u0000"), "n": N("123456789012345678901234567890.12345678"), "b": {"B": b"\x00\xff"}, "t": {"BOOL": True},
            "z": {"NULL": True}, "l": {"L": [S("x"), {"M": {"deep": {"L": []}}}]}, "m": {"M": {}}, "ss": {"SS": ["b", "a"]}, "ns": {"NS": ["1", "2.5"]},
            "bs": {"BS": [b"1", b"2"]}}
    same(db.put_item(TableName="items", Item=item, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"], {"TableName": "items", "CapacityUnits": 1.0})
    found = db.get_item(TableName="items", Key={"pk": S("a"), "sk": N("1.0")}, ConsistentRead=True)["Item"]
    for value in (item, found):
        for key in ("SS", "NS", "BS"):
            value[key.lower()][key].sort()
    same(found, item)
    key = {"pk": S("a"), "sk": N(1)}
    same(db.get_item(TableName="items", Key=key, ProjectionExpression="l[1].deep, #s", ExpressionAttributeNames={"#s": "s"})["Item"],
         {"l": {"L": [{"M": {"deep": {"L": []}}}]}, "s": S("é\u0000")})
    same("Item" in db.get_item(TableName="items", Key={"pk": S("a"), "sk": N(2)}), False)
    invalid("One or more parameter values were invalid: Missing the key sk in the item", "put_item", TableName="items", Item={"pk": S("a")})
    invalid("One or more parameter values were invalid: Type mismatch for key sk expected: N actual: S", "put_item", TableName="items",
            Item={"pk": S("a"), "sk": S("1")})
    invalid("The provided key element does not match the schema", "get_item", TableName="items", Key={"pk": S("a")})
    invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk",
            "put_item", TableName="items", Item={"pk": S(""), "sk": N(1)})
    invalid("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes", "put_item", TableName="items",
            Item={"pk": S("x" * 2049), "sk": N(1)})
    invalid("Item size has exceeded the maximum allowed size", "put_item", TableName="items", Item={"pk": S("a"), "sk": N(1), "v": S("x" * 409_600)})
    same(db.put_item(TableName="items", Item={"pk": S("big"), "sk": N(1), "v": S("x" * (409_600 - 20))}, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
         ["CapacityUnits"], 400.0)
    answer = db.update_item(TableName="items", Key=key, UpdateExpression="SET c = if_not_exists(c, :zero) + :one, l[0] = :y REMOVE t ADD ss :ss",
                            ExpressionAttributeValues={":zero": N(0), ":one": N(1), ":y": S("y"), ":ss": {"SS": ["c"]}}, ReturnValues="UPDATED_NEW")
    answer["Attributes"]["ss"]["SS"].sort()
    same(answer["Attributes"], {"c": N(1), "l": {"L": [S("y")]}, "ss": {"SS": ["a", "b", "c"]}})
    same(db.update_item(TableName="items", Key=key, UpdateExpression="SET c = c + :one", ExpressionAttributeValues={":one": N(1)},
                        ReturnValues="UPDATED_OLD")["Attributes"], {"c": N(1)})
    invalid("One or more parameter values were invalid: Cannot update attribute sk. This attribute is part of the key", "update_item", TableName="items", Key=key,
            UpdateExpression="SET sk = :v", ExpressionAttributeValues={":v": N(2)})
    failure = refused("ConditionalCheckFailedException", "The conditional request failed", "update_item", TableName="items", Key=key,
                      UpdateExpression="SET c = :v", ConditionExpression="c > :v", ExpressionAttributeValues={":v": N(5)},
                      ReturnValuesOnConditionCheckFailure="ALL_OLD")
    same(failure["Item"]["c"], N(2))
    same(db.put_item(TableName="items", Item={"pk": S("n"), "sk": N(1)}, ConditionExpression="attribute_not_exists(pk)").get("Attributes"), None)
    refused("ConditionalCheckFailedException", "The conditional request failed", "put_item", TableName="items", Item={"pk": S("n"), "sk": N(1)},
            ConditionExpression="attribute_not_exists(pk)")
    same(db.delete_item(TableName="items", Key={"pk": S("n"), "sk": N(1)}, ReturnValues="ALL_OLD")["Attributes"], {"pk": S("n"), "sk": N(1)})
    same("Attributes" in db.delete_item(TableName="items", Key={"pk": S("n"), "sk": N(1)}, ReturnValues="ALL_OLD"), False)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: db.update_item(TableName="items", Key={"pk": S("count"), "sk": N(1)}, UpdateExpression="ADD c :one",
                                               ExpressionAttributeValues={":one": N(1)}), range(200)))
    same(db.get_item(TableName="items", Key={"pk": S("count"), "sk": N(1)})["Item"]["c"], N(200))


def queries():
    create("queries", ["pk", "sk"], GlobalSecondaryIndexes=[index("gsi", "g", "h", kind="INCLUDE", others=["v"])],
           LocalSecondaryIndexes=[index("lsi", "pk", "h", kind="KEYS_ONLY")])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: db.put_item(TableName="queries", Item={
            "pk": S(f"p{i % 3}"), "sk": N(i - 50), "g": S(f"g{i % 2}"), "h": N(100 - i), "v": S("v"), "w": S("w" * 10)}), range(100)))
    db.put_item(TableName="queries", Item={"pk": S("p0"), "sk": N(1000)})
    values = {":p": S("p1"), ":low": N(-20), ":high": N("10.5")}
    def ask(**arguments):
        return db.query(TableName="queries", **arguments)
    wanted = [i - 50 for i in range(100) if i % 3 == 1]
    same([int(i["sk"]["N"]) for i in ask(KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p1")})["Items"]], wanted)
    found = ask(KeyConditionExpression="pk = :p AND sk BETWEEN :low AND :high", ExpressionAttributeValues=values, ScanIndexForward=False)
    same([int(i["sk"]["N"]) for i in found["Items"]], [k for k in reversed(wanted) if -20 <= k <= 10.5])
    pages = list(db.get_paginator("query").paginate(TableName="queries", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p1")},
                                                   PaginationConfig={"PageSize": 7}))
    same([int(i["sk"]["N"]) for p in pages for i in p["Items"]], wanted)
    same(len(pages), 5)
    for forward in (True, False):
        pages = db.get_paginator("query").paginate(TableName="queries", IndexName="gsi", KeyConditionExpression="g = :g", ScanIndexForward=forward,
                                                   ExpressionAttributeValues={":g": S("g1")}, PaginationConfig={"PageSize": 6})
        found = [i for p in pages for i in p["Items"]]
        order = sorted(100 - i for i in range(100) if i % 2 == 1)
        same([int(i["h"]["N"]) for i in found], order if forward else order[::-1])
        same(set(found[0]), {"pk", "sk", "g", "h", "v"})
    same(ask(IndexName="lsi", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p0")}, Select="COUNT", ConsistentRead=True)["Count"], 34)
    found = ask(IndexName="lsi", KeyConditionExpression="pk = :p AND h < :h", ExpressionAttributeValues={":p": S("p0"), ":h": N(10)}, Select="ALL_ATTRIBUTES",
                ReturnConsumedCapacity="INDEXES")
    same([i["w"]["S"] for i in found["Items"]], ["w" * 10] * 3)
    same(found["ConsumedCapacity"], {"TableName": "queries", "CapacityUnits": 2.0, "Table": {"CapacityUnits": 1.5},
                                     "LocalSecondaryIndexes": {"lsi": {"CapacityUnits": 0.5}}})
    found = ask(KeyConditionExpression="pk = :p", FilterExpression="h < :h", ExpressionAttributeValues={":p": S("p0"), ":h": N(10)})
    same((found["Count"], found["ScannedCount"]), (3, 35))
    invalid("The table does not have the specified index: none", "query", TableName="queries", IndexName="none", KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": S("p0")})
    invalid("Consistent reads are not supported on global secondary indexes", "query", TableName="queries", IndexName="gsi", ConsistentRead=True,
            KeyConditionExpression="g = :p", ExpressionAttributeValues={":p": S("p0")})
    invalid("Query condition missed key schema element: pk", "query", TableName="queries", KeyConditionExpression="sk = :p",
            ExpressionAttributeValues={":p": N(1)})
    everything = db.scan(TableName="queries")["Items"]
    same(len(everything), 101)
    same(db.scan(TableName="queries", Select="COUNT")["Count"], 101)
    parts = [db.scan(TableName="queries", Segment=i, TotalSegments=4)["Items"] for i in range(4)]
    same(sorted(map(str, sum(parts, []))), sorted(map(str, everything)))
    pages = list(db.get_paginator("scan").paginate(TableName="queries", PaginationConfig={"PageSize": 9}))
    same(sum((p["Items"] for p in pages), []), everything)
    same(db.scan(TableName="queries", IndexName="gsi")["Count"], 100)
    same([i["IndexStatus"] for i in db.describe_table(TableName="queries")["Table"]["GlobalSecondaryIndexes"]], ["ACTIVE"])
    # Pages end at 1 MB of items.
    create("pages", ["pk", "sk"])
    for i in range(12):
        db.put_item(TableName="pages", Item={"pk": S("a"), "sk": N(i), "v": S("x" * 200_000)})
    found = db.query(TableName="pages", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("a")}, ReturnConsumedCapacity="TOTAL")
    same((found["Count"], found["LastEvaluatedKey"]), (5, {"pk": S("a"), "sk": N(4)}))
    same(db.describe_table(TableName="pages")["Table"]["ItemCount"], 12)


def index_changes():
    create("grown", ["pk"])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda b: db.batch_write_item(RequestItems={"grown": [
            {"PutRequest": {"Item": {"pk": S(f"{b}-{i}"), "g": S(f"g{i % 5}"), "h": N(i)}}} for i in range(25)]}), range(50)))
    db.update_table(TableName="grown", AttributeDefinitions=[{"AttributeName": "g", "AttributeType": "S"}, {"AttributeName": "h", "AttributeType": "N"}],
                    GlobalSecondaryIndexUpdates=[{"Create": index("late", "g", "h")}])
    db.put_item(TableName="grown", Item={"pk": S("new"), "g": S("g1"), "h": N(500)})
    deadline = time.time() + 30
    while db.describe_table(TableName="grown")["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"] != "ACTIVE":
        assert time.time() < deadline, "the index was not filled within 30 s"
        time.sleep(0.05)
    pages = db.get_paginator("query").paginate(TableName="grown", IndexName="late", KeyConditionExpression="g = :g", ExpressionAttributeValues={":g": S("g1")})
    same(sum(p["Count"] for p in pages), 251)
    same(db.describe_table(TableName="grown")["Table"]["GlobalSecondaryIndexes"][0]["ItemCount"], 1251)
    db.update_item(TableName="grown", Key={"pk": S("new")}, UpdateExpression="REMOVE h")
    same(db.describe_table(TableName="grown")["Table"]["GlobalSecondaryIndexes"][0]["ItemCount"], 1250)
    invalid("One or more parameter values were invalid: Type mismatch for Index Key h Expected: N Actual: S IndexName: late", "put_item", TableName="grown",
            Item={"pk": S("x"), "h": S("1")})
    db.update_table(TableName="grown", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "late"}}])
    same("GlobalSecondaryIndexes" in db.describe_table(TableName="grown")["Table"], False)


def batches():
    create("batch-a", ["pk"])
    create("batch-b", ["pk"])
    answer = db.batch_write_item(RequestItems={t: [{"PutRequest": {"Item": {"pk": S(str(i)), "v": N(i)}}} for i in range(12)] for t in ("batch-a", "batch-b")},
                                 ReturnConsumedCapacity="TOTAL")
    same((answer["UnprocessedItems"], answer["ConsumedCapacity"]), ({}, [{"TableName": t, "CapacityUnits": 12.0} for t in ("batch-a", "batch-b")]))
    invalid("Provided list of item keys contains duplicates", "batch_write_item",
            RequestItems={"batch-a": [{"DeleteRequest": {"Key": {"pk": S("1")}}}, {"PutRequest": {"Item": {"pk": S("1")}}}]})
    invalid("Too many items requested for the BatchWriteItem call", "batch_write_item",
            RequestItems={t: [{"DeleteRequest": {"Key": {"pk": S(str(i))}}} for i in range(13)] for t in ("batch-a", "batch-b")})
    answer = db.batch_get_item(RequestItems={"batch-a": {"Keys": [{"pk": S(str(i))} for i in range(20)], "ProjectionExpression": "v"},
                                             "batch-b": {"Keys": [{"pk": S("3")}]}})
    same((sorted(int(i["v"]["N"]) for i in answer["Responses"]["batch-a"]), answer["Responses"]["batch-b"]), (list(range(12)), [{"pk": S("3"), "v": N(3)}]))
    for i in range(50):
        db.put_item(TableName="batch-b", Item={"pk": S(f"big{i}"), "v": S("x" * 390_000)})
    answer = db.batch_get_item(RequestItems={"batch-b": {"Keys": [{"pk": S(f"big{i}")} for i in range(50)]}})
    left = answer["UnprocessedKeys"]["batch-b"]["Keys"]
    same(len(answer["Responses"]["batch-b"]) + len(left), 50)
    assert 0 < len(left) < 20
    same(len(db.batch_get_item(RequestItems=answer["UnprocessedKeys"])["Responses"]["batch-b"]), len(left))


def transactions():
    create("accounts", ["pk"])
    for name in ("a", "b"):
        db.put_item(TableName="accounts", Item={"pk": S(name), "money": N(100)})
    def move(amount, token=None):
        more = {"ClientRequestToken": token} if token else {}
        return dict(TransactItems=[
            {"Update": {"TableName": "accounts", "Key": {"pk": S("a")}, "UpdateExpression": "SET money = money - :m", "ConditionExpression": "money >= :m",
                        "ExpressionAttributeValues": {":m": N(amount)}, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}},
            {"Update": {"TableName": "accounts", "Key": {"pk": S("b")}, "UpdateExpression": "SET money = money + :m",
                        "ExpressionAttributeValues": {":m": N(amount)}}}], **more)
    same(db.transact_write_items(**move(30), ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"],
         [{"TableName": "accounts", "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0}])
    failure = refused("TransactionCanceledException",
                      "Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, None]",
                      "transact_write_items", **move(300))
    same(failure["CancellationReasons"], [{"Code": "ConditionalCheckFailed", "Message": "The conditional request failed",
                                           "Item": {"pk": S("a"), "money": N(70)}}, {"Code": "None"}])
    token = str(uuid.uuid4())
    for _ in range(3):
        db.transact_write_items(**move(20, token))
    same([i["Item"]["money"] for i in db.transact_get_items(TransactItems=[{"Get": {"TableName": "accounts", "Key": {"pk": S(n)}}} for n in "ab"])["Responses"]],
         [N(50), N(150)])
    try:
        db.transact_write_items(**move(21, token))
        raise AssertionError("a token was used for another transaction")
    except db.exceptions.IdempotentParameterMismatchException:
        pass
    invalid("Transaction request cannot include multiple operations on one item", "transact_write_items",
            TransactItems=[{"Delete": {"TableName": "accounts", "Key": {"pk": S("a")}}}] * 2)
    # Money neither comes nor goes while many move it.
    def some(i):
        try:
            db.transact_write_items(**move(i % 7 - 3))
        except db.exceptions.TransactionCanceledException:
            pass
        both = db.transact_get_items(TransactItems=[{"Get": {"TableName": "accounts", "Key": {"pk": S(n)}}} for n in "ab"])["Responses"]
        return sum(int(b["Item"]["money"]["N"]) for b in both)
    with ThreadPoolExecutor(12) as pool:
        same(set(pool.map(some, range(120))), {200})


def expiry():
    create("expiring", ["pk"])
    now = int(time.time())
    db.put_item(TableName="expiring", Item={"pk": S("before"), "at": N(now - 60)})
    db.update_time_to_live(TableName="expiring", TimeToLiveSpecification={"Enabled": True, "AttributeName": "at"})
    same(db.describe_time_to_live(TableName="expiring")["TimeToLiveDescription"]["AttributeName"], "at")
    invalid("TimeToLive is already enabled", "update_time_to_live", TableName="expiring", TimeToLiveSpecification={"Enabled": True, "AttributeName": "at"})
    for name, at in (("past", N(now - 5)), ("future", N(now + 3_600)), ("ancient", N(1)), ("text", S("1")), ("kept", None)):
        db.put_item(TableName="expiring", Item={"pk": S(name)} | ({"at": at} if at else {}))
    deadline = time.time() + 30
    while len(found := db.scan(TableName="expiring")["Items"]) > 4:
        assert time.time() < deadline, f"items did not expire within 30 s: {found}"
        time.sleep(0.1)
    same(sorted(i["pk"]["S"] for i in found), ["ancient", "future", "kept", "text"])
    db.update_time_to_live(TableName="expiring", TimeToLiveSpecification={"Enabled": False, "AttributeName": "at"})
    same(db.describe_time_to_live(TableName="expiring")["TimeToLiveDescription"], {"TimeToLiveStatus": "DISABLED"})


for check in (tables, items, queries, index_changes, batches, transactions, expiry):
    check()
print(json.dumps({"checks": checks}))
