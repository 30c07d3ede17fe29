"""Makes random conditions and updates and prints, for each, what a DynamoDB endpoint (moto's) answers.

    dynamodb_differential.py ENDPOINT SEED CASES

One line of JSON for each case: the kind, the item, the request, and "true", "false", the error's message, or the new item.
Only forms are made in which moto does what the service does.
"""
import json
import random
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, seed, cases = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
client = boto3.client(
    "dynamodb", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x",
    config=Config(retries={"max_attempts": 0}, parameter_validation=False))
client.create_table(
    TableName="t", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST")

NUMBERS = ["0", "1", "2", "-1", "10", "3.5", "100"]
TEXTS = ["a", "b", "ab", "abc", "ba", "z"]
NAMES = ["n1", "n2", "t1", "t2", "l1", "m1", "ss1", "ns1", "b1"]


def value(kind):
    if kind == "n":
        return {"N": rng.choice(NUMBERS)}
    if kind == "t":
        return {"S": rng.choice(TEXTS)}
    if kind == "b":
        return {"BOOL": rng.random() < 0.5}
    if kind == "ss":
        return {"SS": sorted(rng.sample(TEXTS, rng.randint(1, 3)))}
    if kind == "ns":
        return {"NS": rng.sample(NUMBERS, rng.randint(1, 3))}
    if kind == "l":
        return {"L": [value(rng.choice("nt")) for _ in range(rng.randint(0, 4))]}
    return {"M": {name: value(rng.choice(["n", "t", "l"])) for name in rng.sample(["x", "y", "w"], rng.randint(0, 3))}}


def kind_of(name):
    return name.rstrip("0123456789")


def item():
    out = {"id": {"S": "k"}}
    for name in NAMES:
        if rng.random() < 0.75:
            out[name] = value(kind_of(name))
    return out


class Request:
    def __init__(self):
        self.names, self.values = {}, {}

    def name(self, name):
        if rng.random() < 0.3:
            self.names["#" + name] = name
            return "#" + name
        return name

    def value(self, given):
        key = ":v%d" % len(self.values)
        self.values[key] = given
        return key

    def path(self, kind):
        """A path that may lead to a number or a text."""
        choice = rng.random()
        if choice < 0.7:
            return self.name(kind + rng.choice("12"))
        if choice < 0.85:
            return "%s.%s" % (self.name("m1"), rng.choice(["x", "y"]))
        return "%s[%d]" % (self.name("l1"), rng.randint(0, 3))

    def condition(self, depth):
        choice = rng.random()
        if depth > 0 and choice < 0.45:
            if choice < 0.1:
                return "NOT (%s)" % self.condition(depth - 1)
            return "(%s) %s (%s)" % (self.condition(depth - 1), rng.choice(["AND", "OR"]), self.condition(depth - 1))
        kind = rng.choice("nt")
        form = rng.randint(0, 9)
        if form <= 3:
            # Not one attribute with another: for moto two that are not there are equal.
            left, right = self.name(kind + "1"), self.value(value(kind))
            return "%s %s %s" % (left, rng.choice(["=", "<>", "<", "<=", ">", ">="]), right)
        if form == 4:
            low, high = sorted([rng.choice([-1, 0, 1, 2]), rng.choice([2, 3, 10])])
            return "%s BETWEEN %s AND %s" % (self.name("n1"), self.value({"N": str(low)}), self.value({"N": str(high)}))
        if form == 5:
            return "%s IN (%s)" % (self.name(kind + "1"), ", ".join(self.value(value(kind)) for _ in range(rng.randint(1, 3))))
        if form == 6:
            return "%s(%s)" % (rng.choice(["attribute_exists", "attribute_not_exists"]), self.path(kind))
        if form == 7:
            return "begins_with(%s, %s)" % (self.name("t1"), self.value(value("t")))
        if form == 8:
            return "contains(%s, %s)" % (self.name(rng.choice(["t1", "ss1"])), self.value(value("t")))
        return "attribute_type(%s, %s)" % (self.name(rng.choice(NAMES)), self.value({"S": rng.choice(["S", "N", "L", "M", "SS", "NS", "BOOL"])}))

    def update(self):
        free = ["n1", "n2", "t1", "l1", "m1", "ss1", "ns1", "x1"]
        rng.shuffle(free)
        sections = {"SET": [], "REMOVE": [], "ADD": [], "DELETE": []}
        for name in free[: rng.randint(1, 4)]:
            kind = kind_of(name)
            choice = rng.random()
            if kind == "ss" or kind == "ns":
                sections[rng.choice(["ADD", "DELETE"])].append("%s %s" % (self.name(name), self.value(value(kind))))
            elif kind == "n" and choice < 0.3:
                sections["ADD"].append("%s %s" % (self.name(name), self.value(value("n"))))
            elif kind == "n" and choice < 0.7:
                other = self.name(rng.choice(["n1", "n2"]))
                source = "if_not_exists(%s, %s)" % (other, self.value(value("n"))) if choice < 0.5 else other
                sections["SET"].append("%s = %s %s %s" % (self.name(name), source, rng.choice("+-"), self.value(value("n"))))
            elif kind == "l" and choice < 0.4:
                sections["SET"].append("%s = list_append(%s, %s)" % (self.name(name), self.name(name), self.value(value("l"))))
            elif kind == "l" and choice < 0.7:
                sections["SET"].append("%s[%d] = %s" % (self.name(name), rng.randint(0, 5), self.value(value("t"))))
            elif kind == "m" and choice < 0.6:
                sections["SET"].append("%s.%s = %s" % (self.name(name), rng.choice(["x", "y"]), self.value(value("n"))))
            elif choice < 0.5:
                sections["REMOVE"].append(self.name(name))
            else:
                sections["SET"].append("%s = %s" % (self.name(name), self.value(value(rng.choice(["n", "t", "l", "m"])))))
        parts = [(word, actions) for word, actions in sections.items() if actions]
        rng.shuffle(parts)
        return " ".join("%s %s" % (word, ", ".join(actions)) for word, actions in parts)

    def parameters(self):
        out = {}
        if self.names:
            out["ExpressionAttributeNames"] = self.names
        if self.values:
            out["ExpressionAttributeValues"] = self.values
        return out


for number in range(cases):
    given, request = item(), Request()
    client.put_item(TableName="t", Item=given)
    kind = "condition" if number % 2 else "update"
    text = request.condition(3) if kind == "condition" else request.update()
    parameters = request.parameters()
    try:
        if kind == "condition":
            client.put_item(TableName="t", Item=given, ConditionExpression=text, **parameters)
            answer = "true"
        else:
            answer = client.update_item(TableName="t", Key={"id": {"S": "k"}}, UpdateExpression=text, ReturnValues="ALL_NEW", **parameters)["Attributes"]
    except ClientError as error:
        answer = "false" if error.response["Error"]["Code"] == "ConditionalCheckFailedException" else "error: " + error.response["Error"]["Message"]
    print(json.dumps({"kind": kind, "item": given, "text": text, "names": parameters.get("ExpressionAttributeNames"),
                      "values": parameters.get("ExpressionAttributeValues"), "answer": answer}))
