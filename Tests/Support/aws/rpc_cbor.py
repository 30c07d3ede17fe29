"""Speaks Smithy's RPC protocol in CBOR with botocore's own serializer and parser, and prints what an endpoint answered.

    rpc_cbor.py HOST PORT
"""
import datetime
import http.client
import json
import sys

import botocore.parsers
import botocore.serialize
import botocore.session

model = botocore.session.get_session().get_service_model("kinesis")
serializer = botocore.serialize.create_serializer("smithy-rpc-v2-cbor")
parser = botocore.parsers.create_parser("smithy-rpc-v2-cbor")


def call(name, arguments):
    operation = model.operation_model(name)
    request = serializer.serialize_to_request(arguments, operation)
    connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=60)
    connection.request(request["method"], request["url_path"], request["body"], dict(request["headers"]))
    response = connection.getresponse()
    return parser.parse({"status_code": response.status, "headers": dict(response.getheaders()), "body": response.read()}, operation.output_shape)


when = datetime.datetime(2026, 1, 2, 3, 4, 5, 500_000, datetime.timezone.utc)
iterator = call("GetShardIterator", {"StreamName": "s", "ShardId": "0", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": when})
records = call("GetRecords", {"ShardIterator": "any"})["Records"]
missing = call("DescribeLimits", {})
print(json.dumps({
    "seconds": iterator["ShardIterator"], "arrived": records[0]["ApproximateArrivalTimestamp"].timestamp(), "data": records[0]["Data"].decode(),
    "error": missing["Error"]["Code"], "message": missing["Error"]["Message"], "status": missing["ResponseMetadata"]["HTTPStatusCode"],
}))
