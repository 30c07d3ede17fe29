"""The same random operations on two DynamoDB endpoints; what they answer must be the same.

    dynamodb_random.py ENDPOINT OTHER_ENDPOINT [SEED] [OPERATIONS]

Items, attributes, counts and kinds of errors are compared; texts of errors are not, nor is the order of scans, which the service
leaves open. Where the second endpoint (moto's server) is known to answer in another way than the service, the generator stays away:
KNOWN says where and why. The last line of output is JSON with the seed and the counts by operation and answer.
"""
import collections
import decimal
import json
import random
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

KNOWN = [
    "moto gives no LastEvaluatedKey when Limit falls on the last item; the service does. Pages are compared as whole queries.",
    "moto takes numbers as Python's decimals and gives them back as written; values here are written in canonical form.",
    "moto lets updates of several kinds touch one path; every expression here names each attribute once.",
    "moto fails itself (500, or TypeError as a reason) on comparing values of different types; such answers count as excused.",
    "moto keeps what an update did before the part of it that failed; after a refused write its item is made the same as ours.",
    "moto compares booleans with numbers, as Python does; booleans are inside of lists and maps here.",
    "moto sorts items of an index that have equal keys by time of insertion; they are compared without order.",
]
NAMES = ["a", "b", "c", "d"]


def client(endpoint):
    return boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
                        config=Config(retries={"max_attempts": 1}))


class Generator:
    def __init__(self, rng):
        self.rng = rng

    def number(self):
        r = self.rng
        return r.choice([str(r.randint(-20, 20)), str(r.randint(-10**12, 10**12)), f"{r.randint(-99, 99)}.{r.randint(1, 9)}"]).replace("-0.", "-1.")

    def string(self):
        return self.rng.choice(["", "x", "y", "xy", "é", "zz", "10", "a b"])

    def value(self, depth=0):
        r = self.rng
        kind = r.choice(["S", "N", "N", "S", "BOOL" if depth else "S", "NULL", "B", "SS", "NS"] + (["L", "M"] if depth < 2 else []))
        if kind == "S":
            return {"S": self.string()}
        if kind == "N":
            return {"N": self.number()}
        if kind == "BOOL":
            return {"BOOL": r.random() < 0.5}
        if kind == "NULL":
            return {"NULL": True}
        if kind == "B":
            return {"B": bytes(r.randrange(256) for _ in range(r.randint(0, 4)))}
        if kind == "SS":
            return {"SS": r.sample(["p", "q", "r", "s"], r.randint(1, 3))}
        if kind == "NS":
            return {"NS": r.sample(["1", "2", "3", "-4.5"], r.randint(1, 3))}
        if kind == "L":
            return {"L": [self.value(depth + 1) for _ in range(r.randint(0, 3))]}
        return {"M": {k: self.value(depth + 1) for k in r.sample(NAMES, r.randint(0, 3))}}

    def key(self):
        return {"pk": {"S": f"p{self.rng.randrange(4)}"}, "sk": {"N": str(self.rng.randrange(-3, 9))}}

    def item(self):
        item = self.key()
        for name in self.rng.sample(NAMES, self.rng.randint(0, 4)):
            item[name] = self.value()
        if self.rng.random() < 0.7:
            item["g"] = {"S": f"g{self.rng.randrange(3)}"}
        if self.rng.random() < 0.7:
            item["h"] = {"N": str(self.rng.randrange(10))}
        return item

    def condition(self, values, names):
        r = self.rng
        path = r.choice(NAMES)
        names["#" + path] = path
        def value(v):
            key = f":v{len(values)}"
            values[key] = v
            return key
        kind = r.randrange(9)
        if kind == 0:
            return f"attribute_exists(#{path})"
        if kind == 1:
            return f"attribute_not_exists(#{path})"
        if kind == 2:
            return f"#{path} {r.choice(['=', '<>', '<', '<=', '>', '>='])} {value(r.choice([{'S': self.string()}, {'N': self.number()}]))}"
        if kind == 3:
            return f"attribute_type(#{path}, {value({'S': r.choice(['S', 'N', 'B', 'L', 'M', 'SS', 'NULL', 'BOOL'])})})"
        if kind == 4:
            return f"begins_with(#{path}, {value({'S': r.choice(['x', 'z', 'xy'])})})"
        if kind == 5:
            return f"contains(#{path}, {value({'S': r.choice(['x', 'p', 'q'])})})"
        if kind == 6:
            return f"#{path} IN ({value({'N': self.number()})}, {value({'S': self.string()})})"
        if kind == 7:
            return f"(NOT {self.condition(values, names)})"
        return f"({self.condition(values, names)} {r.choice(['AND', 'OR'])} {self.condition(values, names)})"

    def update(self, values, names):
        r = self.rng
        paths = r.sample(NAMES, r.randint(1, 3))
        sections = collections.defaultdict(list)
        for path in paths:
            names["#" + path] = path
            key = f":u{len(values)}"
            kind = r.randrange(7)
            if kind == 0:
                values[key] = self.value()
                sections["SET"].append(f"#{path} = {key}")
            elif kind == 1:
                values[key] = {"N": self.number()}
                sections["SET"].append(f"#{path} = if_not_exists(#{path}, {key})")
            elif kind == 2:
                values[key] = {"N": str(r.randint(1, 9))}
                sections["SET"].append(f"#{path} = #{path} {r.choice('+-')} {key}")
            elif kind == 3:
                values[key] = {"L": [self.value(2)]}
                sections["SET"].append(f"#{path} = list_append(#{path}, {key})")
            elif kind == 4:
                sections["REMOVE"].append(f"#{path}")
            elif kind == 5:
                values[key] = r.choice([{"N": str(r.randint(-5, 5))}, {"NS": ["7", "8"]}, {"SS": ["p", "t"]}])
                sections["ADD"].append(f"#{path} {key}")
            else:
                values[key] = r.choice([{"SS": ["p", "t"]}, {"NS": ["1", "7"]}])
                sections["DELETE"].append(f"#{path} {key}")
        return " ".join(f"{name} {', '.join(actions)}" for name, actions in sections.items())


def normal(value):
    """Sets without order; numbers as numbers."""
    if isinstance(value, dict):
        if len(value) == 1:
            (kind, inner), = value.items()
            if kind in ("SS", "BS") and isinstance(inner, list):
                return {kind: sorted(inner)}
            if kind == "NS" and isinstance(inner, list):
                return {kind: sorted(decimal.Decimal(n) for n in inner)}
            if kind == "N" and isinstance(inner, str):
                return {kind: decimal.Decimal(inner)}
        return {k: normal(v) for k, v in value.items()}
    if isinstance(value, list):
        return [normal(v) for v in value]
    return value


def call(c, operation, arguments):
    try:
        answer = getattr(c, operation)(**arguments)
    except ClientError as error:
        return {"error": error.response["Error"]["Code"], "item": normal(error.response.get("Item")),
                "reasons": [r.get("Code") for r in error.response.get("CancellationReasons", [])], "text": error.response["Error"]["Message"]}
    # moto tells capacities and metrics that were not asked for.
    for name in ("ResponseMetadata", "ConsumedCapacity", "ItemCollectionMetrics"):
        answer.pop(name, None)
    return normal(answer)


def pages(c, operation, arguments):
    out, count, scanned = [], 0, 0
    while True:
        answer = call(c, operation, arguments)
        if "error" in answer:
            return answer
        out += answer.get("Items", [])
        count += answer["Count"]
        scanned += answer["ScannedCount"]
        last = answer.get("LastEvaluatedKey")
        if not last:
            return {"Items": out, "Count": count, "ScannedCount": scanned}
        arguments = {**arguments, "ExclusiveStartKey": {k: {t: str(v) if t == "N" else v for t, v in e.items()} for k, e in last.items()}}


def text(value):
    return json.dumps(value, sort_keys=True, default=str)


def unordered(answer):
    return {**answer, "Items": sorted(answer["Items"], key=text)} if "Items" in answer else answer


def main():
    endpoints, seed = sys.argv[1:3], int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
    operations = int(sys.argv[4]) if len(sys.argv) > 4 else 400
    print(f"seed {seed}", flush=True)
    g = Generator(random.Random(seed))
    r = g.rng
    clients = [client(e) for e in endpoints]
    table = f"differential-{seed}"
    for c in clients:
        c.create_table(
            TableName=table, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"), ("g", "S"), ("h", "N"))],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            LocalSecondaryIndexes=[{"IndexName": "lsi", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "h", "KeyType": "RANGE"}],
                                    "Projection": {"ProjectionType": "ALL"}}],
            GlobalSecondaryIndexes=[{"IndexName": "gsi", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "h", "KeyType": "RANGE"}],
                                     "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]}}])
    counts = collections.Counter()
    differences = []

    def compare(operation, arguments, how=call, form=lambda a: a, written=()):
        answers = [form(how(c, operation, arguments)) for c in clients]
        kind = answers[0].get("error", "ok")
        counts[f"{operation} {kind}"] += 1
        shown = [{k: v for k, v in a.items() if k != "text"} for a in answers]
        if shown[1].get("error") == "500" or "TypeError" in shown[1].get("reasons", []):
            counts["excused"] += 1
        elif text(shown[0]) != text(shown[1]):
            differences.append({"operation": operation, "arguments": arguments, "answers": answers})
            print("DIFFERENT", json.dumps(differences[-1], default=str), flush=True)
        if "error" in shown[1]:
            for key in written:
                item = clients[0].get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
                if item:
                    clients[1].put_item(TableName=table, Item=item)
                else:
                    clients[1].delete_item(TableName=table, Key=key)

    def conditional(arguments, chance=0.4):
        values, names = {}, {}
        if r.random() < chance:
            arguments["ConditionExpression"] = g.condition(values, names)
            if r.random() < 0.3:
                arguments["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return values, names

    def placed(arguments, values, names):
        if values:
            arguments["ExpressionAttributeValues"] = values
        if names:
            arguments["ExpressionAttributeNames"] = names
        return arguments

    for _ in range(operations):
        kind = r.choices(["put", "update", "delete", "get", "query", "gsi", "lsi", "scan", "batch", "transact", "batch_get", "transact_get"],
                         [20, 20, 6, 6, 10, 8, 5, 4, 4, 6, 3, 2])[0]
        arguments = {"TableName": table}
        if kind == "put":
            arguments |= {"Item": g.item(), "ReturnValues": r.choice(["NONE", "ALL_OLD"])}
            compare("put_item", placed(arguments, *conditional(arguments)), written=[{k: arguments["Item"][k] for k in ("pk", "sk")}])
        elif kind == "delete":
            arguments |= {"Key": g.key(), "ReturnValues": r.choice(["NONE", "ALL_OLD"])}
            compare("delete_item", placed(arguments, *conditional(arguments)), written=[arguments["Key"]])
        elif kind == "update":
            arguments |= {"Key": g.key(), "ReturnValues": r.choice(["NONE", "ALL_OLD", "ALL_NEW"])}
            values, names = conditional(arguments, 0.3)
            arguments["UpdateExpression"] = g.update(values, names)
            compare("update_item", placed(arguments, values, names), written=[arguments["Key"]])
        elif kind == "get":
            arguments["Key"] = g.key()
            if r.random() < 0.5:
                paths = r.sample(NAMES, 2)
                arguments["ProjectionExpression"] = ", ".join("#" + p for p in paths)
                arguments["ExpressionAttributeNames"] = {"#" + p: p for p in paths}
            compare("get_item", arguments)
        elif kind in ("query", "gsi", "lsi"):
            hash_key, range_key = {"query": ("pk", "sk"), "gsi": ("g", "h"), "lsi": ("pk", "h")}[kind]
            values, names = {":hash": {"S": f"{hash_key[0]}{r.randrange(4)}"}}, {}
            text_ = f"{hash_key} = :hash"
            ranged = r.randrange(4)
            if ranged == 1:
                values[":low"] = {"N": str(r.randrange(-3, 9))}
                text_ += f" AND {range_key} {r.choice(['=', '<', '<=', '>', '>='])} :low"
            elif ranged == 2:
                low = r.randrange(-3, 9)
                values |= {":low": {"N": str(low)}, ":high": {"N": str(low + r.randrange(5))}}
                text_ += f" AND {range_key} BETWEEN :low AND :high"
            arguments["KeyConditionExpression"] = text_
            if kind != "query":
                arguments["IndexName"] = kind
            if r.random() < 0.4:
                arguments["FilterExpression"] = g.condition(values, names)
            if r.random() < 0.5:
                arguments["ScanIndexForward"] = r.random() < 0.5
            if r.random() < 0.4:
                arguments["Limit"] = r.randint(1, 5)
            compare("query", placed(arguments, values, names), pages, (lambda a: a) if kind == "query" else unordered)
        elif kind == "scan":
            values, names = {}, {}
            if r.random() < 0.5:
                arguments["FilterExpression"] = g.condition(values, names)
            if r.random() < 0.5:
                arguments["Limit"] = r.randint(1, 7)
            if r.random() < 0.3:
                arguments["IndexName"] = r.choice(["gsi", "lsi"])
            compare("scan", placed(arguments, values, names), pages, unordered)
        elif kind == "batch":
            keys = {text(k): k for k in (g.key() for _ in range(r.randint(1, 6)))}.values()
            requests = [{"PutRequest": {"Item": {**g.item(), **k}}} if r.random() < 0.7 else {"DeleteRequest": {"Key": k}} for k in keys]
            compare("batch_write_item", {"RequestItems": {table: requests}})
        elif kind == "batch_get":
            keys = {text(k): k for k in (g.key() for _ in range(r.randint(1, 6)))}.values()
            compare("batch_get_item", {"RequestItems": {table: {"Keys": list(keys)}}},
                    form=lambda a: {"items": sorted(map(text, a.get("Responses", {}).get(table, [])))})
        elif kind == "transact_get":
            keys = {text(k): k for k in (g.key() for _ in range(r.randint(1, 4)))}.values()
            compare("transact_get_items", {"TransactItems": [{"Get": {"TableName": table, "Key": k}} for k in keys]})
        else:
            keys = {text(k): k for k in (g.key() for _ in range(r.randint(1, 4)))}.values()
            items = []
            for k in keys:
                each = {"TableName": table}
                what = r.choice(["Put", "Delete", "Update", "ConditionCheck"])
                values, names = conditional(each, 1 if what == "ConditionCheck" else 0.3)
                each.pop("ReturnValuesOnConditionCheckFailure", None)
                each |= {"Item": {**g.item(), **k}} if what == "Put" else {"Key": k}
                if what == "Update":
                    values[":set"] = g.value()
                    each["UpdateExpression"] = "SET c = :set"
                items.append({what: placed(each, values, names)})
            compare("transact_write_items", {"TransactItems": items}, written=keys)
    compare("scan", {"TableName": table}, pages, unordered)
    for c in clients:
        c.delete_table(TableName=table)
    print(json.dumps({"seed": seed, "operations": operations, "different": len(differences), "counts": dict(sorted(counts.items()))}))
    sys.exit(1 if differences else 0)


main()
