"""boto3's resource interface: tables, conditions, batches.  dynamodb_resource.py ENDPOINT"""
import json
import sys
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key

db = boto3.resource("dynamodb", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
table = db.create_table(
    TableName="films", KeySchema=[{"AttributeName": "year", "KeyType": "HASH"}, {"AttributeName": "title", "KeyType": "RANGE"}],
    AttributeDefinitions=[{"AttributeName": "year", "AttributeType": "N"}, {"AttributeName": "title", "AttributeType": "S"}],
    ProvisionedThroughput={"ReadCapacityUnits": 10, "WriteCapacityUnits": 10})
table.wait_until_exists()
with table.batch_writer() as batch:
    for i in range(60):
        batch.put_item(Item={"year": 1990 + i % 3, "title": f"Film {i:02}", "info": {"rating": Decimal(i) / 10, "genres": ["Drama"] if i % 2 else ["Comedy"]}})
table.reload()
assert table.item_count == 60, table.item_count
found = table.query(KeyConditionExpression=Key("year").eq(1991) & Key("title").between("Film 10", "Film 20"))["Items"]
assert [f["title"] for f in found] == ["Film 10", "Film 13", "Film 16", "Film 19"], found
assert len(table.query(KeyConditionExpression=Key("year").eq(1991) & Key("title").begins_with("Film 1"))["Items"]) == 4
found = table.query(KeyConditionExpression=Key("year").eq(1990), FilterExpression=Attr("info.rating").gte(Decimal("4.5")) & Attr("info.genres").contains("Drama"))
assert sorted(f["title"] for f in found["Items"]) == ["Film 45", "Film 51", "Film 57"], found
found = table.scan(FilterExpression=Attr("info.rating").lt(Decimal("0.2")) | Attr("title").eq("Film 59"), ProjectionExpression="title, info.rating")
assert sorted((f["title"], f["info"]["rating"]) for f in found["Items"]) == [("Film 00", 0), ("Film 01", Decimal("0.1")), ("Film 59", Decimal("5.9"))], found
answer = table.update_item(Key={"year": 1990, "title": "Film 00"}, UpdateExpression="SET info.rating = info.rating + :r, info.actors = :a",
                           ExpressionAttributeValues={":r": Decimal("5.5"), ":a": ["Larry", "Moe"]}, ReturnValues="UPDATED_NEW")
assert answer["Attributes"] == {"info": {"rating": Decimal("5.5"), "actors": ["Larry", "Moe"]}}, answer
try:
    table.delete_item(Key={"year": 1990, "title": "Film 00"}, ConditionExpression=Attr("info.rating").lte(5))
    raise AssertionError("the condition did not hold")
except db.meta.client.exceptions.ConditionalCheckFailedException:
    pass
found = db.batch_get_item(RequestItems={"films": {"Keys": [{"year": 1990, "title": "Film 00"}, {"year": 1991, "title": "Film 01"}]}})["Responses"]["films"]
assert len(found) == 2
pages = list(table.meta.client.get_paginator("scan").paginate(TableName="films", PaginationConfig={"PageSize": 25}))
assert [p["Count"] for p in pages] == [25, 25, 10], [p["Count"] for p in pages]
table.put_item(Item={"year": 1, "title": "bytes", "b": b"\x00\x01", "s": {"x", "y"}, "n": {1, 2}, "none": None, "yes": True})
item = table.get_item(Key={"year": 1, "title": "bytes"})["Item"]
assert item["b"].value == b"\x00\x01" and item["s"] == {"x", "y"} and item["n"] == {1, 2} and item["none"] is None and item["yes"] is True, item
assert [t.name for t in db.tables.all()].count("films") == 1
table.delete()
table.wait_until_not_exists()
print(json.dumps("ok"))
