"""`kafka://HOST:9092,HOST:9092/TOPIC` and `kafka+tls://…`: each event as a message of Kafka: its exact bytes, under its id.

Produced by librdkafka with idempotence on and acknowledged by all replicas in sync. The key is the event's log, so the events of a log are in
order in one partition. A topic has to be there; guardai makes none. User and password (SASL) come from the URL; the mechanism is SCRAM-SHA-512
unless GUARDAI_KAFKA_MECHANISM says otherwise.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from guardai.errors import ConfigError, SinkError, SinkRefused
from guardai.model import shown

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

__all__ = ["KafkaSink"]

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")


class _Event(msgspec.Struct):
    id: str
    log: str = ""


_decode: Final = msgspec.json.Decoder(_Event).decode


class KafkaSink:
    """Produces messages and waits for every acknowledgement. One producer a delivery: none is carried across a fork."""

    def __init__(self, url: str) -> None:
        try:
            import confluent_kafka  # noqa: F401
        except ImportError:
            raise ConfigError("kafka sinks need confluent-kafka: pip install 'guardai-sdk[kafka]'") from None
        try:
            parts = urlsplit(url)
            user, _, servers = parts.netloc.rpartition("@")
            topic = unquote(parts.path[1:])
        except ValueError:
            user = servers = topic = ""
        hosts = servers.split(",")
        known = parts.scheme in {"kafka", "kafka+tls"} and not parts.query and not parts.fragment
        if not known or not all(map(_HOST.fullmatch, hosts)) or not _TOPIC.fullmatch(topic):
            raise ConfigError(f"{shown(url)} is no topic: write kafka://HOST:9092/TOPIC or kafka+tls://HOST:9093/TOPIC")
        self._topic = topic
        name, _, password = user.partition(":")
        security = ("SASL_" if user else "") + ("SSL" if parts.scheme == "kafka+tls" else "PLAINTEXT")
        self._options: dict[str, Any] = {
            "bootstrap.servers": servers,
            "security.protocol": security,
            "client.id": "guardai",
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "allow.auto.create.topics": False,
            "topic.metadata.propagation.max.ms": 3_000,  # after which a topic that is not there is said to be none
        }
        if user:
            self._options |= {
                "sasl.mechanism": os.environ.get("GUARDAI_KAFKA_MECHANISM", "SCRAM-SHA-512"),
                "sasl.username": unquote(name),
                "sasl.password": unquote(password),
            }

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Produces the events, and returns when all are acknowledged.

        Raises:
            SinkRefused: one of them is larger than the topic takes.
            SinkError: they are not all acknowledged.
        """
        from confluent_kafka import KafkaException, Producer

        until = time.monotonic() + seconds
        failed: list[KafkaError] = []
        said: list[KafkaError] = []

        def acknowledged(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        options = {**self._options, "message.timeout.ms": max(1000, int(seconds * 1000)), "error_cb": said.append}
        try:
            producer = Producer(options, logger=_silent())
            for data in events:
                event = _decode(data)
                producer.produce(
                    self._topic, data, key=event.log, headers=[("id", event.id.encode())], on_delivery=acknowledged
                )
            left = producer.flush(max(0.1, until - time.monotonic()))
        except KafkaException as error:
            _raise(error.args[0])
        except BufferError:
            raise SinkError("there is no room for the batch") from None
        if left:
            producer.purge()
        if left or any(error.code() == error._MSG_TIMED_OUT for error in failed):
            raise SinkError(f"no answer in time{f': {said[-1].name()}' if said else ''}")
        if failed:
            _raise(failed[0])


def _raise(error: KafkaError) -> None:
    from confluent_kafka import KafkaError as Codes

    if error.code() in (Codes.MSG_SIZE_TOO_LARGE, Codes.RECORD_LIST_TOO_LARGE, Codes.INVALID_RECORD):
        raise SinkRefused(f"the broker answers {error.name()}")
    raise SinkError(f"the broker answers {error.name()}")


def _silent() -> logging.Logger:
    """Takes librdkafka's own words: they name hosts, and what matters of them is raised."""
    logger = logging.getLogger("guardai.sinks.kafka")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
