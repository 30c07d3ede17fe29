"""Requests generated from botocore's service model, sent to an endpoint, and its answers judged by rule.

    model_requests.py ENDPOINT SERVICE [--only Operation] [--encoding json|cbor] [--access-key K --secret-key S] [--verbose]

SERVICE is kinesis, dynamodb, dynamodbstreams or firehose. For every operation: a minimal valid request, a full one, and one for each
constraint of the model broken in turn. The rules:

- never a status of 500 and above, never a dropped connection;
- a broken constraint: 400 with ValidationException whose message names the member; a value of a wrong type: SerializationException;
  or what ACCEPTED lists, each with its reason;
- an example, which can be served: 200;
- a valid request: 200, with a body that has the model's members and types, or an error that the operation's model lists;
- an operation that the endpoint does not have (UnknownOperationException) is listed, not judged.

The last line of output is JSON: counts, failures (the first of them), operations that are not there, and those whose valid requests were
all answered with modelled errors, so that their outputs have not been judged. Exit code 1 on any failure.
"""
import argparse
import base64
import collections
import http.client
import json
import re
import string
import struct
import sys
import time
from urllib.parse import urlsplit

try:
    from re import _constants as sre, _parser as sre_parser
except ImportError:  # Python 3.10 and older
    import sre_constants as sre
    import sre_parse as sre_parser

import botocore.parsers
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from model_examples import ACCOUNT, DELIVERY_ARN, EXAMPLES, NAME, REGION, STREAM_ARN, TABLE_ARN, Time

# Values that make sense to a service, by shape name.
SENSIBLE = {
    "kinesis": {
        "StreamName": NAME, "StreamARN": STREAM_ARN, "ResourceARN": STREAM_ARN, "ShardId": "shardId-000000000000",
        "ConsumerARN": f"{STREAM_ARN}/consumer/reader:1700000000", "ConsumerName": "reader", "SequenceNumber": "0", "HashKey": "0",
        "KeyId": "alias/aws/kinesis", "RetentionPeriodHours": 48, "PositiveIntegerObject": 1, "PartitionKey": "k",
        "Policy": '{"Version":"2012-10-17","Statement":[]}',
    },
    "dynamodb": {
        "TableName": NAME, "TableArn": NAME, "ResourceArnString": TABLE_ARN, "AttributeValue": {"S": "x"}, "KeySchemaAttributeName": "k",
        "AttributeName": "k", "ConditionExpression": "attribute_exists(k)", "UpdateExpression": "SET v = k", "ProjectionExpression": "k",
        "KeyExpression": "k = k", "ExpressionAttributeNameVariable": "#n", "ExpressionAttributeValueVariable": ":v",
        "StreamArn": STREAM_ARN, "PositiveLongObject": 1, "TimeToLiveAttributeName": "expires",
        "PartiQLStatement": f'SELECT * FROM "{NAME}"',
    },
    "dynamodbstreams": {"TableName": NAME, "StreamArn": f"{TABLE_ARN}/stream/2026-01-01T00:00:00.000", "ShardId": "shardId-00000000000000000000-00000000",
                        "SequenceNumber": "000000000000000000000", "ShardIterator": "none"},
    "firehose": {"DeliveryStreamName": NAME, "KinesisStreamARN": STREAM_ARN, "DeliveryStreamARN": DELIVERY_ARN,
                 "VpcEndpointServiceName": "one.two.vpce.us-east-1.vpce-svc-12345678901234567",
                 "SnowflakePrivateLinkVpceId": "one.two.vpce.us-east-1.vpce-svc-12345678901234567"},
}

Case = collections.namedtuple("Case", "operation kind member value raw", defaults=(None, None, None))

# Errors beside the rule: (service, operation or *, kind or *, member or *, error type, reason).
ACCEPTED = [
    ("dynamodb", "*", "valid", "*", "ValidationException", "the checks beyond the model are ValidationExceptions, which the model does not list"),
    ("dynamodbstreams", "*", "valid", "*", "ValidationException", "as for dynamodb"),
    ("dynamodb", "*", "null", "*", "ValidationException", "a null leaves an attribute value, an update or a transaction's action empty"),
    ("dynamodbstreams", "*", "null", "*", "ValidationException", "the rest of the request is checked beyond the model, as for dynamodb"),
    ("*", "*", "lenient", "*", "SerializationException", "readers differ in what they take for a number"),
    ("*", "*", "lenient", "*", "ValidationException", "numbers that are read as such may be out of range"),
]

WRONG_TYPES = {
    "string": [123, {}, [1], True], "integer": ["abc", {}, [], True], "long": ["abc", {}, []], "double": ["abc", {}, []], "float": ["abc", {}, []],
    "boolean": ["abc", 5, {}, []], "blob": [5, {}, []], "timestamp": [{}, [], True], "list": ["a", 5, {}], "map": ["a", 5, []],
    "structure": ["a", 5, []],
}
NOT_PRESENT = object()


# ---- values -------------------------------------------------------------------------------------------------------------------

def python_pattern(pattern):
    """Java's form of a regular expression in Python's."""
    for java, ours in ((r"\p{L}", "a-zA-ZÀ-ÿ"), (r"\p{Z}", " "), (r"\p{N}", "0-9"), (r"\p{Print}", r"[\x20-\x7E]"),
                       (r"\uD800\uDC00-\uDBFF\uDFFF", "\U00010000-\U0010ffff")):
        pattern = pattern.replace(java, ours)
    return pattern


def matching(parsed):
    """A short text that a parsed regular expression matches."""
    out = ""
    for op, argument in parsed:
        if op is sre.LITERAL:
            out += chr(argument)
        elif op is sre.ANY:
            out += "x"
        elif op is sre.NOT_LITERAL:
            out += "x" if argument != ord("x") else "y"
        elif op is sre.IN:
            out += one_of(argument)
        elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            out += matching(argument[2]) * argument[0]
        elif op is sre.SUBPATTERN:
            out += matching(argument[3])
        elif op is sre.BRANCH:
            out += matching(argument[1][-1])
        elif op in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
            pass
        else:
            raise ValueError(f"no text for {op}")
    return out


def one_of(items):
    """A character that is in a set of a regular expression."""
    categories = {sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_WORD: r"\w", sre.CATEGORY_NOT_SPACE: r"\S", sre.CATEGORY_SPACE: r"\s"}
    inside = ""
    for op, argument in items:
        if op is sre.LITERAL:
            inside += re.escape(chr(argument))
        elif op is sre.RANGE:
            inside += f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
        elif op is sre.CATEGORY:
            inside += categories[argument]
    pattern = ("[^" if items[0][0] is sre.NEGATE else "[") + inside + "]"
    return next(c for c in string.ascii_lowercase + string.digits + string.ascii_uppercase + " -_.:/,;+=@" if re.fullmatch(pattern, c))


class Values:
    def __init__(self, service):
        self.service = service
        self.sensible = dict(SENSIBLE[service])

    def text(self, shape, length=None):
        if shape.enum:
            return shape.enum[0]
        pattern, least, most = shape.metadata.get("pattern"), shape.metadata.get("min", 0), shape.metadata.get("max")
        wanted = length if length is not None else max(least, 1)
        if pattern:
            compiled = python_pattern(pattern)
            text = matching(sre_parser.parse(compiled))
            if not text and wanted:
                text = next((c for c in "a1/-=" if re.fullmatch(compiled, c * wanted)), "")
            for filler in ("a", "1", "0", ".a"):
                # Stretch before the last character, at the end, or by repetition.
                for stretched in (text + filler * (wanted - len(text)), text[:-1] + filler * (wanted - len(text)) + text[-1:], text * wanted):
                    if len(stretched) >= wanted and re.fullmatch(compiled, stretched[:max(wanted, len(text))]):
                        return stretched[:max(wanted, len(text))]
            return text
        return "a" * (wanted if most is None or length is not None else min(wanted, most))

    def value(self, shape, full=False, stack=()):
        if shape.name in self.sensible:
            return self.sensible[shape.name]
        kind, least = shape.type_name, shape.metadata.get("min", 0)
        if kind == "string":
            return self.text(shape)
        if kind in ("integer", "long"):
            return max(least, min(1, shape.metadata.get("max", 1)))
        if kind in ("double", "float"):
            return float(max(least, 1))
        if kind == "boolean":
            return True
        if kind == "blob":
            return b"x" * max(least, 1)
        if kind == "timestamp":
            return Time(1_700_000_000)
        again = stack.count(shape.name) > 0
        stack = stack + (shape.name,)
        if kind == "list":
            return [self.distinct(shape.member, full, stack, i) for i in range(0 if again and not least else max(least, 1 if full else 0))]
        if kind == "map":
            return {self.text(shape.key) if shape.key.name not in self.sensible else self.sensible[shape.key.name]: self.value(shape.value, full, stack)
                    for _ in range(0 if again and not least else max(least, 1 if full else 0))}
        required = shape.required_members
        return {name: self.value(member, full, stack) for name, member in shape.members.items()
                if name in required or (full and not again and member.name not in stack)}

    def distinct(self, shape, full, stack, i):
        value = self.value(shape, full, stack)
        return value + str(i) if i and isinstance(value, str) and not shape.enum else value

    def around(self, shape, path, value):
        """The minimal request in which the member at `path` has `value`."""
        if not path:
            return value
        step = path[0]
        if shape.type_name == "list":
            least = shape.metadata.get("min", 0)
            return [self.around(shape.member, path[1:], value)] + [self.distinct(shape.member, False, (), i) for i in range(1, least)]
        if shape.type_name == "map":
            key = self.sensible.get(shape.key.name) or self.text(shape.key)
            if step == "key":
                return {value: self.value(shape.value)}
            return {key: self.around(shape.value, path[1:], value)}
        inner = self.around(shape.members[step], path[1:], value)
        out = {} if shape.name in self.sensible else self.value(shape)
        out = dict(out)
        if inner is NOT_PRESENT:
            out.pop(step, None)
        else:
            out[step] = inner
        return out


# ---- cases --------------------------------------------------------------------------------------------------------------------

def paths(shape, stack=()):
    """Every member below a shape, as (path, shape, is required), recursion cut."""
    if stack.count(shape.name) > 0:
        return
    stack = stack + (shape.name,)
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield (name,), member, name in shape.required_members
            for path, inner, required in paths(member, stack):
                yield (name,) + path, inner, required
    elif shape.type_name == "list":
        yield ("member",), shape.member, False
        for path, inner, required in paths(shape.member, stack):
            yield ("member",) + path, inner, required
    elif shape.type_name == "map":
        yield ("key",), shape.key, False
        yield ("value",), shape.value, False
        for path, inner, required in paths(shape.value, stack):
            yield ("value",) + path, inner, required


def named(path):
    """The last member of a path that has a name."""
    return next((step for step in reversed(path) if step not in ("member", "key", "value")), path[-1])


def broken(values, shape):
    """(kind, value) for each constraint of a shape, broken."""
    least, most, pattern = (shape.metadata.get(k) for k in ("min", "max", "pattern"))
    kind = shape.type_name
    if kind == "string":
        if shape.enum:
            yield "enum", "Nonsense"
        if least and not shape.enum:
            yield "short", values.text(shape, least - 1)[:least - 1] if pattern else "a" * (least - 1)
        if most is not None:
            text = values.text(shape, most + 1)
            yield "long", text if len(text) > most else "a" * (most + 1)
        if pattern:
            compiled = python_pattern(pattern)
            size = max(least or 1, 1)
            candidates = [(wrong * size)[:max(size, len(wrong))] for wrong in ("!", "?", " ", "a b", "\u00e9", "_", "$", "A", ":", "\u0000")]
            # Better one that no reading of the pattern lets pass than one that only fails as a whole.
            for test in (re.search, re.fullmatch):
                text = next((text for text in candidates if not test(compiled, text)), None)
                if text is not None:
                    yield "pattern", text
                    break
    elif kind in ("integer", "long"):
        if least is not None:
            yield "range", least - 1
        if most is not None:
            yield "range", most + 1
    elif kind == "blob":
        if least:
            yield "short", b"x" * (least - 1)
        if most is not None:
            yield "long", b"x" * (most + 1)
    elif kind == "list":
        if least:
            yield "short", [values.distinct(shape.member, False, (), i) for i in range(least - 1)]
        if most is not None:
            yield "long", [values.distinct(shape.member, False, (), i) for i in range(most + 1)]
    elif kind == "map":
        if least:
            yield "short", {}
        if most is not None and most < 100_000:
            yield "long", {f"{values.text(shape.key)}{i}": values.value(shape.value) for i in range(most + 1)}


def cases(values, operation):
    shape = operation.input_shape
    name = operation.name
    if shape is None:
        yield Case(name, "valid", "minimal", {})
        return
    minimal = values.value(shape)
    yield Case(name, "valid", "minimal", minimal)
    yield Case(name, "valid", "full", values.value(shape, full=True))
    yield Case(name, "valid", "unknown member", {**minimal, "Unknown": {"deep": [1, None]}})
    yield Case(name, "empty", "", raw=b"")
    # Bodies that are no document, in either encoding.
    for wrong in (b"{", b"[", b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", b"\xbf\x61", b"{\"a\":1}}", b"\"\xff\xfe\"", b"{\"a\":" * 5_000, b"\xd8" * 10_000):
        yield Case(name, "malformed", repr(wrong[:12]), raw=wrong)
    for wrong in ([], "text", 5, None):
        yield Case(name, "type", "", wrong)
    for path, member, required in paths(shape):
        said = named(path)
        if required:
            yield Case(name, "missing", said, values.around(shape, path, NOT_PRESENT))
        if path[-1] not in ("member", "key", "value"):
            yield Case(name, "missing" if required else "null", said, values.around(shape, path, None))
        for kind, value in broken(values, member):
            yield Case(name, kind, said, values.around(shape, path, value))
        if path[-1] == "key":
            continue
        for wrong in WRONG_TYPES[member.type_name]:
            yield Case(name, "type", said, values.around(shape, path, wrong))
        if member.type_name == "blob":
            yield Case(name, "base64", said, values.around(shape, path, "!not base64!"))
        if member.type_name in ("integer", "long"):
            for odd in (1.5, 10 ** 30, -(10 ** 18), 2 ** 31, 1e300):
                yield Case(name, "lenient", said, values.around(shape, path, odd))
        if member.type_name == "timestamp":
            for odd in (0, 0.5, -5, 1e11, -1e18, 1e300):
                yield Case(name, "lenient", said, values.around(shape, path, odd))


# ---- encodings ----------------------------------------------------------------------------------------------------------------

def json_body(value):
    def default(x):
        return base64.b64encode(x).decode()
    return json.dumps(value, default=default).encode()


def cbor_body(value):
    def head(major, n):
        for bits, size, form in ((24, 1, ">B"), (25, 2, ">H"), (26, 4, ">I"), (27, 8, ">Q")):
            if n < 24:
                return bytes([major << 5 | n])
            if n < 1 << (8 * size):
                return bytes([major << 5 | bits]) + struct.pack(form, n)
        raise OverflowError
    if value is None:
        return b"\xf6"
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, Time):
        return b"\xc1" + cbor_body(int(value * 1000))
    if isinstance(value, int):
        if not -(1 << 64) <= value < 1 << 64:
            return b"\xfb" + struct.pack(">d", value)
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return head(3, len(data)) + data
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor_body, value))
    return head(5, len(value)) + b"".join(cbor_body(k) + cbor_body(v) for k, v in value.items())


def cbor_value(data):
    at = 0

    def take(n):
        nonlocal at
        if at + n > len(data):
            raise ValueError("the answer's CBOR is cut off")
        at += n
        return data[at - n:at]

    def item():
        lead = take(1)[0]
        major, minor = lead >> 5, lead & 31
        if major == 7:
            if minor in (20, 21, 22, 23):
                return {20: False, 21: True}.get(minor)
            if minor == 31:
                raise StopIteration
            return struct.unpack({25: ">e", 26: ">f", 27: ">d"}[minor], take({25: 2, 26: 4, 27: 8}[minor]))[0]
        if minor == 31:
            parts = []
            while data[at] != 0xFF:
                parts.append((item(), item()) if major == 5 else item())
            take(1)
            return dict(parts) if major == 5 else parts if major == 4 else (b"" if major == 2 else "").join(parts)
        n = minor if minor < 24 else int.from_bytes(take(1 << (minor - 24)), "big")
        if major in (0, 1):
            return n if major == 0 else -1 - n
        if major in (2, 3):
            return take(n) if major == 2 else take(n).decode()
        if major == 4:
            return [item() for _ in range(n)]
        if major == 5:
            return {item(): item() for _ in range(n)}
        inner = item()
        return Time(inner / 1000) if n == 1 else inner
    value = item()
    if at != len(data):
        raise ValueError("bytes behind the answer's CBOR")
    return value


# ---- sending ------------------------------------------------------------------------------------------------------------------

Answer = collections.namedtuple("Answer", "status headers body")


class Sender:
    def __init__(self, endpoint, model, credentials):
        parts = urlsplit(endpoint)
        self.host, self.port, self.model, self.credentials = parts.hostname, parts.port, model, credentials
        self.connection = None

    def send(self, operation, body, encoding, prefix=None):
        headers = {"X-Amz-Target": f"{prefix or self.model.metadata['targetPrefix']}.{operation}", "Host": f"{self.host}:{self.port}",
                   "Content-Type": f"application/x-amz-json-{self.model.metadata['jsonVersion']}" if encoding == "json" else "application/x-amz-cbor-1.1"}
        if self.credentials:
            request = AWSRequest("POST", f"http://{self.host}:{self.port}/", headers=headers, data=body)
            SigV4Auth(self.credentials, self.model.signing_name, REGION).add_auth(request)
            headers = dict(request.headers.items())
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
            self.connection.request("POST", "/", body, headers)
            response = self.connection.getresponse()
            if "eventstream" in (response.getheader("content-type") or ""):
                first = response.read1(4)
                self.close()
                return Answer(response.status, dict(response.getheaders()), first)
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
            if response.will_close:
                self.close()
            return answer
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


# ---- judging ------------------------------------------------------------------------------------------------------------------

def type_errors(shape, value, encoding, at="", as_event=False):
    """How a value of an answer differs from its shape."""
    kind = shape.type_name
    right = {
        "string": str, "integer": int, "long": int, "double": (int, float), "float": (int, float), "boolean": bool, "list": list, "map": dict,
        "structure": dict, "blob": str if encoding == "json" else bytes, "timestamp": (int, float) if encoding == "json" else Time,
    }[kind]
    if not isinstance(value, right) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{at or 'the answer'} is {value!r:.60}, no {kind}"]
    found = []
    if kind == "string" and shape.enum and value not in shape.enum:
        found.append(f"{at} is {value!r}, not one of {shape.enum}")
    elif kind == "blob" and encoding == "json":
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            found.append(f"{at} is not Base64: {value!r:.60}")
    elif kind == "timestamp" and not 0 <= value < 1e11:
        found.append(f"{at} is no time in seconds: {value}")
    elif kind == "list":
        for i, element in enumerate(value):
            found += type_errors(shape.member, element, encoding, f"{at}[{i}]")
    elif kind == "map":
        for name, element in value.items():
            found += type_errors(shape.value, element, encoding, f"{at}.{name}")
    elif kind == "structure":
        found += [f"{at}.{name} is no member of {shape.name}" for name in value if name not in shape.members]
        found += [f"{at}.{name} of {shape.name} is missing" for name in shape.required_members if name not in value]
        for name, element in value.items():
            if name in shape.members:
                found += type_errors(shape.members[name], element, encoding, f"{at}.{name}")
    return found


class Judge:
    def __init__(self, service, model):
        self.service, self.model = service, model

    def error(self, answer, encoding):
        """Type and message of an error, None for an answer that is none."""
        document = json.loads(answer.body or b"{}") if encoding == "json" else cbor_value(answer.body) if answer.body else {}
        kind = document.get("__type", "").split("#")[-1]
        return kind, document.get("message", document.get("Message", ""))

    def accepts(self, case, kind):
        kinds = {case.kind}
        return any(s in ("*", self.service) and o in ("*", case.operation) and k in kinds | {"*"} and m in ("*", case.member) and e == kind
                   for s, o, k, m, e, _ in ACCEPTED)

    def verdict(self, case, answer, encoding):
        """None when all is well, else what is wrong."""
        if answer.status >= 500:
            return f"status {answer.status}: {answer.body[:200]!r}"
        if answer.status == 200:
            if case.kind in ("malformed", "type", "missing", "enum", "short", "long", "pattern", "range", "operation") or (
                    case.kind == "base64" and encoding == "json"):
                return "was accepted"
            return self.output(case, answer, encoding)
        if answer.status not in (400, 413):
            return f"status {answer.status}: {answer.body[:200]!r}"
        try:
            kind, message = self.error(answer, encoding)
        except Exception as error:
            return f"the error cannot be read ({error}): {answer.body[:200]!r}"
        if not kind:
            return f"an error without a type: {answer.body[:200]!r}"
        if self.accepts(case, kind):
            return None
        operation = self.model.operation_model(case.operation) if case.kind != "operation" else None
        modelled = {shape.name for shape in operation.error_shapes} if operation else set()
        said = f"{kind}: {message[:300]}"
        if case.kind == "operation":
            return None if kind == "UnknownOperationException" else said
        if case.kind in ("valid", "null", "lenient"):
            return None if kind in modelled else said
        if case.kind in ("malformed", "type", "base64"):
            return None if kind == "SerializationException" else said
        if case.kind == "empty":
            return None if kind in modelled | {"ValidationException"} else said
        if kind != "ValidationException":
            return said
        return None if case.member.lower() in message.lower() else f"does not name {case.member}: {said}"

    def output(self, case, answer, encoding):
        shape = self.model.operation_model(case.operation).output_shape
        if "eventstream" in answer.headers.get("content-type", answer.headers.get("Content-Type", "")):
            return None
        if shape is None:
            return None if answer.body in (b"", b"{}", b"\xa0") else f"a body where the model has none: {answer.body[:80]!r}"
        try:
            document = (json.loads(answer.body or b"{}") if encoding == "json" else cbor_value(answer.body) if answer.body else {})
            if encoding == "json":
                parsed = botocore.parsers.create_parser("json").parse(
                    {"status_code": 200, "headers": answer.headers, "body": answer.body}, shape)
                parsed.pop("ResponseMetadata", None)
        except Exception as error:
            return f"the answer cannot be read ({error!r}): {answer.body[:200]!r}"
        found = type_errors(shape, document, encoding)
        return "; ".join(found[:3]) if found else None


# ---- what valid requests need ---------------------------------------------------------------------------------------------------

class Stage:
    """Puts in place what valid requests are about, as far as the endpoint can."""

    def __init__(self, sender, service, values):
        self.sender, self.service, self.values = sender, service, values

    def call(self, operation, value):
        answer = self.sender.send(operation, json_body(value), "json")
        return json.loads(answer.body or b"{}") if answer.status == 200 else None

    def wait(self, operation, value, status):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            document = self.call(operation, value)
            if document is None:
                return
            if status(document) == "ACTIVE":
                return
            time.sleep(0.05)

    def set(self):
        try:
            self.place()
        except (LookupError, TypeError, ValueError, AttributeError, OSError, http.client.HTTPException):
            pass  # What is wrong with these answers shows where they are judged.

    def place(self):
        if self.service == "kinesis":
            if self.call("DescribeStreamSummary", {"StreamName": NAME}) is None:
                self.call("CreateStream", {"StreamName": NAME, "ShardCount": 1})
            self.wait("DescribeStreamSummary", {"StreamName": NAME}, lambda d: d["StreamDescriptionSummary"]["StreamStatus"])
            found = self.call("RegisterStreamConsumer", {"StreamARN": STREAM_ARN, "ConsumerName": "reader"})
            found = found or self.call("DescribeStreamConsumer", {"StreamARN": STREAM_ARN, "ConsumerName": "reader"}) or {}
            consumer = found.get("Consumer") or found.get("ConsumerDescription")
            if consumer:
                self.values.sensible["ConsumerARN"] = consumer["ConsumerARN"]
            iterator = self.call("GetShardIterator", {"StreamName": NAME, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"})
            if iterator:
                self.values.sensible["ShardIterator"] = iterator["ShardIterator"]
        elif self.service == "dynamodb":
            if self.call("DescribeTable", {"TableName": NAME}) is None:
                self.call("CreateTable", {"TableName": NAME, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
                                          "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]})
            self.wait("DescribeTable", {"TableName": NAME}, lambda d: d["Table"]["TableStatus"])
        elif self.service == "firehose":
            if self.call("DescribeDeliveryStream", {"DeliveryStreamName": NAME}) is None:
                self.call("CreateDeliveryStream", {"DeliveryStreamName": NAME, "S3DestinationConfiguration": {
                    "RoleARN": f"arn:aws:iam::{ACCOUNT}:role/any", "BucketARN": f"arn:aws:s3:::{NAME}"}})


# ---- main ---------------------------------------------------------------------------------------------------------------------

def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("endpoint")
    options.add_argument("service", choices=sorted(SENSIBLE))
    options.add_argument("--only", action="append", help="this operation only; may be repeated")
    options.add_argument("--encoding", choices=["json", "cbor"], action="append", help="default: both for kinesis, JSON for the others")
    options.add_argument("--access-key")
    options.add_argument("--secret-key")
    options.add_argument("--failures", type=int, default=20, help="how many failures to print")
    options.add_argument("--verbose", action="store_true", help="print every failure as it comes")
    given = options.parse_args()

    session = botocore.session.get_session()
    model = session.get_service_model(given.service)
    sender = Sender(given.endpoint, model, Credentials(given.access_key, given.secret_key) if given.access_key else None)
    values, judge = Values(given.service), Judge(given.service, model)
    stage = Stage(sender, given.service, values)
    failures, absent, counts = [], set(), collections.Counter()
    served = collections.defaultdict(bool)

    def run(case, encoding):
        body = case.raw if case.raw is not None else json_body(case.value) if encoding == "json" else cbor_body(case.value)
        try:
            answer = sender.send(case.operation, body, encoding)
        except (OSError, http.client.HTTPException) as error:
            wrong = f"the connection broke: {error!r}"
        else:
            wrong = judge.verdict(case, answer, encoding)
            if case.kind == "valid":
                served[case.operation] |= answer.status == 200
        counts[case.kind] += 1
        if wrong:
            shown = f"{case.operation} {encoding} {case.kind} {case.member or ''}: {wrong} | sent {body[:160]!r}"
            failures.append(shown)
            if given.verbose:
                print(shown, flush=True)

    for encoding in given.encoding or (["json", "cbor"] if given.service == "kinesis" else ["json"]):
        if not given.only:
            for wrong in ("NoSuchOperation", "putRecord", "", "."):
                run(Case(wrong, "operation", wrong, {}), encoding)
        answers = {}
        for name, request in [] if given.only else EXAMPLES[given.service](f"{NAME}-{encoding}"):
            prefix, _, name = name.rpartition(".")
            counts["example"] += 1
            try:
                # Resources may take a moment until they are there.
                deadline = time.monotonic() + 10
                while True:
                    body = request(answers)
                    answer = sender.send(name, json_body(body) if encoding == "json" else cbor_body(body), encoding, prefix)
                    kind = judge.error(answer, encoding)[0] if answer.status != 200 else ""
                    if kind != "ResourceInUseException" or time.monotonic() > deadline:
                        break
                    time.sleep(0.05)
                case = Case(name, "example", "", body)
                wrong = f"{answer.status} {answer.body[:300]!r}" if answer.status != 200 else None if prefix else judge.output(case, answer, encoding)
                if not wrong and "eventstream" not in str(answer.headers):
                    answers[name] = json.loads(answer.body or b"{}") if encoding == "json" else cbor_value(answer.body) if answer.body else {}
                served[name] |= answer.status == 200
            except Exception as error:
                wrong = repr(error)
            if wrong:
                failures.append(f"{name} {encoding} example: {wrong}")
        for name in given.only or model.operation_names:
            stage.set()
            operation = model.operation_model(name)
            try:
                # Services look at the members first: only a valid request tells whether there is such an operation.
                valid = values.value(operation.input_shape) if operation.input_shape else {}
                probe = sender.send(name, json_body(valid) if encoding == "json" else cbor_body(valid), encoding)
                if probe.status != 200 and judge.error(probe, encoding)[0] == "UnknownOperationException":
                    absent.add(name)
                    continue
            except Exception as error:
                failures.append(f"{name} {encoding}: {error!r}")
                continue
            for case in cases(values, operation):
                if case.kind == "base64" and encoding == "cbor":
                    continue
                if case.kind == "valid":
                    stage.set()
                run(case, encoding)

    print(json.dumps({
        "service": given.service, "requests": sum(counts.values()), "kinds": dict(sorted(counts.items())), "absent": sorted(absent),
        "operations without a 200": sorted(name for name, was in served.items() if not was),
        "failures": len(failures), "first": failures[:given.failures]}, ensure_ascii=False))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
