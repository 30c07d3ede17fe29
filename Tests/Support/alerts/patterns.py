"""What moto, an independent implementation of EventBridge, says of events and patterns: reads [{"pattern", "event"}], prints [true, false, ...]."""
import json, sys

from moto.events.models import EventPattern

with open(sys.argv[1]) as file:
    cases = json.load(file)
print(json.dumps([EventPattern.load(json.dumps(case["pattern"])).matches_event(case["event"]) for case in cases]))
