"""Transactions by librdkafka through ctypes: kcat can neither abort one it has written to nor leave one open."""

import ctypes
import itertools
import os

pointer = ctypes.c_void_p
_numbers = itertools.count()


def producer(**properties):
    """librdkafka and a producer in it."""
    library = ctypes.CDLL("librdkafka.so.1")
    for function in ("conf_new", "new", "topic_new", "mock_cluster_new", "begin_transaction", "abort_transaction", "commit_transaction",
                     "init_transactions"):
        getattr(library, f"rd_kafka_{function}").restype = pointer
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    reason = ctypes.create_string_buffer(512)
    conf = pointer(library.rd_kafka_conf_new())
    for name, value in properties.items():
        assert library.rd_kafka_conf_set(conf, name.replace("_", ".").encode(), value.encode(), reason, len(reason)) == 0
    client = pointer(library.rd_kafka_new(0, conf, reason, len(reason)))
    assert client.value, reason.value
    return library, client


class Transaction:
    """Payloads written to a topic's partition 0 in a transaction, which is open until it is aborted or the block ends, which commits."""

    def __init__(self, address: str, topic: str, payloads: list[bytes]):
        self._address, self._topic, self._payloads, self._is_open = address, topic, payloads, True

    def __enter__(self):
        self._library, self._client = producer(
            bootstrap_servers=self._address, transactional_id=f"tests-{os.getpid()}-{next(_numbers)}", transaction_timeout_ms="600000",
            message_timeout_ms="60000")
        library, client = self._library, self._client
        assert library.rd_kafka_init_transactions(client, 30_000) is None
        assert library.rd_kafka_begin_transaction(client) is None
        handle = pointer(library.rd_kafka_topic_new(client, self._topic.encode(), None))
        for payload in self._payloads:
            copy_and_wait = 2 | 4  # RD_KAFKA_MSG_F_COPY, RD_KAFKA_MSG_F_BLOCK
            assert library.rd_kafka_produce(handle, 0, copy_and_wait, payload, ctypes.c_size_t(len(payload)), None, 0, None) == 0
        assert library.rd_kafka_flush(client, 60_000) == 0
        library.rd_kafka_topic_destroy(handle)
        return self

    def abort(self):
        assert self._library.rd_kafka_abort_transaction(self._client, 30_000) is None
        self._is_open = False

    def __exit__(self, *_):
        if self._is_open:
            assert self._library.rd_kafka_commit_transaction(self._client, 30_000) is None
        self._library.rd_kafka_destroy(self._client)
