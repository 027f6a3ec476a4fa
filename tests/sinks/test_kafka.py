"""Kafka: what a topic holds after a delivery, in librdkafka's own mock cluster."""

import json
import os
import secrets
import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from guardai import ConfigError, SinkError, SinkRefused
from guardai.sinks import open_sink

#: A cluster in a process of its own, for a minute after its standard input is closed at the latest.
CLUSTER = """
import sys, logging
from confluent_kafka import Producer
cluster = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "none"}, logger=logging.Logger("x"))
for line in sys.stdin:
    found = cluster.list_topics(line.strip(), timeout=10)
    print(",".join(f"{one.host}:{one.port}" for one in found.brokers.values()), flush=True)
"""


class Cluster:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )  # fmt: skip

    def topic(self):
        """A new topic, and the brokers."""
        name = f"guardai-{secrets.token_hex(6)}"
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        self.brokers = self.process.stdout.readline().strip()
        return name

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def cluster():
    made = Cluster()
    yield made
    made.end()


@pytest.fixture
def topic(cluster):
    name = cluster.topic()
    return f"kafka://{cluster.brokers}/{name}"


def messages(url):
    """What is in all partitions: key, bytes, id."""
    servers, _, name = url.removeprefix("kafka://").partition("/")
    consumer = Consumer({"bootstrap.servers": servers, "group.id": secrets.token_hex(4), "enable.auto.commit": False})
    try:
        found = []
        for partition in consumer.list_topics(name, timeout=20).topics[name].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=20)
            consumer.assign([TopicPartition(name, partition, low)])
            until = time.monotonic() + 30
            while high > low and time.monotonic() < until:
                message = consumer.poll(0.2)
                if message is not None and not message.error():
                    found.append((message.key(), message.value(), dict(message.headers())["id"], partition))
                    if message.offset() >= high - 1:
                        break
        return found
    finally:
        consumer.close()


def lines(log, *numbers, more=""):
    return [json.dumps({"id": f"{log}-{n}", "log": log, "x": more}).encode() for n in numbers]


def test_every_event_is_in_the_topic_in_the_order_of_its_log_and_under_its_id(topic):
    sink = open_sink(topic)
    events = [*lines("a", 1, 2, 3), *lines("b", 1, 2)]
    sink.deliver(events)
    found = messages(topic)
    assert sorted(data for _, data, *_ in found) == sorted(events)
    for log in (b"a", b"b"):
        mine = [one for one in found if one[0] == log]
        assert [one[2] for one in mine] == [json.loads(one[1])["id"].encode() for one in mine]
        assert [one[1] for one in mine] == [event for event in events if json.loads(event)["log"].encode() == log]
        assert len({one[3] for one in mine}) == 1


def test_whole_ledger_goes_through_the_pump_to_the_topic(topic, whole_ledger):
    events = whole_ledger(topic)
    assert {data for _, data, *_ in messages(topic)} == events


def test_event_that_is_larger_than_a_message_can_be_is_refused(topic):
    with pytest.raises(SinkRefused, match="MSG_SIZE_TOO_LARGE"):
        open_sink(topic).deliver(lines("a", 1, more="x" * 2_000_000))


def test_topic_that_is_not_there_leaves_the_events_waiting(cluster, topic):
    with pytest.raises(SinkError) as told:
        open_sink(f"{topic}-none").deliver(lines("a", 1), seconds=20)
    assert not isinstance(told.value, SinkRefused)
    assert "UNKNOWN_TOPIC" in str(told.value)


def test_brokers_that_are_gone_are_told_within_the_time(home):
    began = time.monotonic()
    with pytest.raises(SinkError, match="no answer in time"):
        open_sink("kafka://127.0.0.1:9/events").deliver(lines("a", 1), seconds=1.5)
    assert time.monotonic() - began < 20


def test_child_that_was_forked_delivers_by_itself(topic):
    sink = open_sink(topic)
    sink.deliver(lines("a", 1))
    pid = os.fork()
    if not pid:
        try:
            sink.deliver(lines("a", 2))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    sink.deliver(lines("a", 3))
    assert sorted(one[2] for one in messages(topic)) == [b"a-1", b"a-2", b"a-3"]


@pytest.mark.parametrize(
    "url",
    ["kafka://host", "kafka://host/", "kafka:///topic", "kafka://host/a b", "kafka://host/topic?x=secret", "kafka://u:secret@ho st/topic",
     "kafka+ssl://host/topic", "kafka://host/topic/more"],
)  # fmt: skip
def test_url_that_names_no_topic_is_refused_without_its_secrets(url):
    from guardai.sinks.kafka import KafkaSink

    with pytest.raises(ConfigError) as told:
        KafkaSink(url)
    assert "secret" not in str(told.value)


def test_user_and_password_of_the_url_are_given_to_the_broker_alone(monkeypatch):
    from guardai.sinks.kafka import KafkaSink

    made = KafkaSink("kafka+tls://us%40er:pass%2Fword@a:1,b/topic")
    assert made._options["bootstrap.servers"] == "a:1,b"
    assert (made._options["security.protocol"], made._options["sasl.mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (made._options["sasl.username"], made._options["sasl.password"]) == ("us@er", "pass/word")
