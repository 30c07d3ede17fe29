#!/usr/bin/env python3
"""Writes to and reads from Kafka with clients that are not the one under test.

Each line on standard input is a request in JSON, each answer one line: {"result": ...} or {"error": "..."}.
Every request has "do" and "bootstrap" and may have "properties" (of librdkafka). Keys, values and header values are base64 or null.
"""
import base64, json, os, sys, time, uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, AlterConfigOpType, ConfigEntry, ResourceType
from confluent_kafka import ConsumerGroupTopicPartitions

PATIENCE = 30


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)


def configuration(q, **more):
    return {"bootstrap.servers": q["bootstrap"], "log_level": 0, **more, **q.get("properties", {})}


admins = {}


def admin(q):
    key = json.dumps([q["bootstrap"], q.get("properties", {})], sort_keys=True)
    if key not in admins:
        admins[key] = AdminClient(configuration(q))
    return admins[key]


def one(futures):
    for future in futures.values():
        return future.result(PATIENCE)


def create(q):
    name = q["topic"]
    one(admin(q).create_topics([NewTopic(name, num_partitions=q["partitions"], replication_factor=q.get("replication", -1), config=q.get("settings", {}))]))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        topic = admin(q).list_topics(timeout=PATIENCE).topics.get(name)
        if topic and not topic.error and len(topic.partitions) == q["partitions"] and all(p.leader >= 0 for p in topic.partitions.values()):
            return None
        time.sleep(0.05)
    raise RuntimeError(f"topic {name} is not there after {PATIENCE} s")


def grow(q):
    one(admin(q).create_partitions([NewPartitions(q["topic"], q["partitions"])]))


def delete(q):
    one(admin(q).delete_topics([q["topic"]]))


def topics(q):
    return {name: len(topic.partitions) for name, topic in admin(q).list_topics(timeout=PATIENCE).topics.items()}


def settings(q):
    return {entry.name: entry.value for entry in one(admin(q).describe_configs([ConfigResource(ResourceType.TOPIC, q["topic"])])).values()}


def delete_records(q):
    one(admin(q).delete_records([TopicPartition(q["topic"], q["partition"], q["before"])]))


def alter(q):
    entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in q["settings"].items()]
    one(admin(q).incremental_alter_configs([ConfigResource(ResourceType.TOPIC, q["topic"], incremental_configs=entries)]))


producers = {}


def produce(q):
    how = q.get("transaction")
    more = {"compression.type": q.get("compression", "none"), "linger.ms": 5}
    if how:
        more["transactional.id"] = q.get("transactional_id") or str(uuid.uuid4())
    producer = Producer(configuration(q, **more))
    if how:
        producer.init_transactions(PATIENCE)
        producer.begin_transaction()
    placed, failures = [None] * len(q["messages"]), []

    def delivered(i):
        def callback(error, message):
            if error:
                failures.append(str(error))
            else:
                placed[i] = [message.partition(), message.offset()]
        return callback

    for i, m in enumerate(q["messages"]):
        optional = {}
        if m.get("partition") is not None:
            optional["partition"] = m["partition"]
        if m.get("timestamp") is not None:
            optional["timestamp"] = m["timestamp"]
        while True:
            try:
                producer.produce(q["topic"], key=decode(m.get("key")), value=decode(m.get("value")),
                                 headers=[(h["key"], decode(h.get("value"))) for h in m.get("headers") or []], on_delivery=delivered(i), **optional)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(PATIENCE):
        raise RuntimeError("not delivered in time")
    if failures:
        raise RuntimeError(failures[0])
    if how == "commit":
        producer.commit_transaction(PATIENCE)
    elif how == "abort":
        producer.abort_transaction(PATIENCE)
    elif how == "open":
        producers[more["transactional.id"]] = producer  # left open until this process ends
    return placed


def shown(topic, partition, offset, key, value, headers, timestamp):
    return {"topic": topic, "partition": partition, "offset": offset, "key": encode(key), "value": encode(value),
            "headers": [{"key": k, "value": encode(v)} for k, v in headers or []], "timestamp": timestamp}


def consume(q):
    """All records up to the end there is now; with "count", waits for at least so many."""
    return consume_pure(q) if q.get("library") == "kafka-python" else consume_confluent(q)


def consume_confluent(q):
    consumer = Consumer(configuration(q, **{"group.id": str(uuid.uuid4()), "enable.auto.commit": False, "enable.partition.eof": True,
                                            "isolation.level": q["isolation"], "auto.offset.reset": "earliest"}))
    try:
        metadata = consumer.list_topics(q["topic"], timeout=PATIENCE).topics[q["topic"]]
        if metadata.error:
            raise RuntimeError(str(metadata.error))
        partitions = [TopicPartition(q["topic"], p) for p in sorted(metadata.partitions)]
        reached, found = set(), []
        for p in partitions:
            p.offset, _ = consumer.get_watermark_offsets(p, timeout=PATIENCE)
        consumer.assign(partitions)
        deadline = time.monotonic() + q.get("seconds", PATIENCE)
        while time.monotonic() < deadline and (len(reached) < len(partitions) or len(found) < q.get("count", 0)):
            for m in consumer.consume(1000, 0.1):
                if m.error():
                    if m.error().code() == KafkaError._PARTITION_EOF:
                        reached.add(m.partition())
                        continue
                    raise KafkaException(m.error())
                found.append(shown(m.topic(), m.partition(), m.offset(), m.key(), m.value(), m.headers(), m.timestamp()[1]))
        return found
    finally:
        consumer.close()


def consume_pure(q):
    import kafka
    consumer = kafka.KafkaConsumer(bootstrap_servers=q["bootstrap"].split(","), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
                                   isolation_level=q["isolation"], **q.get("python_properties", {}))
    try:
        deadline = time.monotonic() + q.get("seconds", PATIENCE)
        names = consumer.partitions_for_topic(q["topic"]) or []
        partitions = [kafka.TopicPartition(q["topic"], p) for p in sorted(names)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        found = []
        while time.monotonic() < deadline and (any(consumer.position(p) < ends[p] for p in partitions) or len(found) < q.get("count", 0)):
            for records in consumer.poll(timeout_ms=100).values():
                for m in records:
                    found.append(shown(m.topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp))
        return found
    finally:
        consumer.close()


def group_consume(q):
    """Up to "count" records as a member of a group that subscribes; commits what it has read, unless told not to."""
    consumer = Consumer(configuration(q, **{"group.id": q["group"], "enable.auto.commit": False, "auto.offset.reset": q.get("reset", "earliest"),
                                            "isolation.level": "read_committed", "session.timeout.ms": 6000}))
    try:
        consumer.subscribe([q["topic"]])
        found, deadline, quiet = [], time.monotonic() + q.get("seconds", PATIENCE), None
        while time.monotonic() < deadline and len(found) < q["count"]:
            for m in consumer.consume(min(1000, q["count"] - len(found)), 0.2):
                if m.error():
                    raise KafkaException(m.error())
                found.append(shown(m.topic(), m.partition(), m.offset(), m.key(), m.value(), m.headers(), m.timestamp()[1]))
        if found and q.get("commit", True):
            consumer.commit(asynchronous=False)
        return found
    finally:
        consumer.close()


def committed(q):
    consumer = Consumer(configuration(q, **{"group.id": q["group"]}))
    try:
        n = len(consumer.list_topics(q["topic"], timeout=PATIENCE).topics[q["topic"]].partitions)
        return [p.offset if p.offset >= 0 else None for p in consumer.committed([TopicPartition(q["topic"], p) for p in range(n)], timeout=PATIENCE)]
    finally:
        consumer.close()


def commit(q):
    consumer = Consumer(configuration(q, **{"group.id": q["group"]}))
    try:
        consumer.commit(offsets=[TopicPartition(q["topic"], int(p), o) for p, o in q["offsets"].items()], asynchronous=False)
    finally:
        consumer.close()


def bounds(q):
    consumer = Consumer(configuration(q, **{"group.id": str(uuid.uuid4()), "isolation.level": q.get("isolation", "read_uncommitted")}))
    try:
        n = len(consumer.list_topics(q["topic"], timeout=PATIENCE).topics[q["topic"]].partitions)
        return [list(consumer.get_watermark_offsets(TopicPartition(q["topic"], p), timeout=PATIENCE)) for p in range(n)]
    finally:
        consumer.close()


DOES = {f.__name__: f for f in (create, grow, delete, topics, settings, alter, delete_records, produce, consume, group_consume, committed, commit, bounds)}
for line in sys.stdin:
    q = json.loads(line)
    try:
        answer = {"result": DOES[q["do"]](q)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
os._exit(0)
