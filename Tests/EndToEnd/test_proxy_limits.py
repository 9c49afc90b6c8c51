"""What a proxy before ClickHouse makes of requests: bodies that are too large for it, and answers that no retry heals."""

import random
import re
import string
import subprocess
import time

import pytest

from laboratory import payload
from proxy import Proxy


def noise(length: int, seed: int) -> str:
    """What compresses badly: proxies see bodies as they are sent."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=length))


def through(url):
    return {"sinks": {"table": {"clickhouse": {"url": url}}}}


@pytest.mark.parametrize("window", [10_000, 0])
@pytest.mark.parametrize("status, body", [(413, b"<html><title>413 Request Entity Too Large</title></html>"), (400, b"request body too large")])
def test_a_body_that_is_too_large_is_sent_in_halves_and_the_key_is_named(lab, window, status, body):
    topic, limit = lab.topic(1), 64 << 10
    lab.produce(topic, [payload(number, text=noise(2_000, number)) for number in range(200)])
    with Proxy(lab.server.url, lambda length: (status, body) if length > limit else None) as proxy:
        pipeline = lab.pipeline(topic, lab.table(window=window), more=through(proxy.url))
        life = lab.engine(pipeline).run("--until-end", seconds=120)
        said = life.log.read_text(errors="replace")
        assert life.code == 0, said
        assert proxy.refused > 0 and "batch.max_bytes" in said and f"HTTP {status}" in said, said
    lab.assert_exact(pipeline, unique=200)
    assert not [path for path in pipeline.dead_letters.rglob("*") if path.is_file()]
    done = subprocess.run([lab.binary, "verify", pipeline.file], capture_output=True, text=True, timeout=120)
    assert "missing 0, extra 0, double 0" in done.stdout, done.stdout


def test_a_row_that_is_too_large_is_waited_for_with_the_remedy_and_the_limit_raised_lets_it_in(lab):
    topic, limit = lab.topic(1), [3 << 10]
    lab.produce(topic, [payload(0), payload(1, text=noise(40_000, 1))])
    with Proxy(lab.server.url, lambda length: (413, b"too large") if length > limit[0] else None) as proxy:
        pipeline = lab.pipeline(topic, lab.table(), more=through(proxy.url))
        life = lab.engine(pipeline).start()
        lab.until(lambda: "client_max_body_size" in life.log.read_text(errors="replace"), life)
        lab.until(lambda: re.search("one row of [0-9]+ bytes", life.log.read_text(errors="replace")), life)
        limit[0] = 1 << 30
        lab.until(lambda: lab.count(pipeline.table) == 2, life)


@pytest.mark.parametrize("status, body, words", [
    (301, b"moved", "write the right one into url"), (401, b"who are you", "user and password"), (404, b"nothing here", "no ClickHouse at this address"),
    (431, b"Request Header Fields Too Large", "the statement is too long"),
])
def test_what_no_retry_heals_ends_until_end_after_the_time_it_was_given(lab, status, body, words):
    topic = lab.topic(1)
    lab.produce(topic, [payload(0)])
    with Proxy(lab.server.url, lambda length: (status, body)) as proxy:
        pipeline = lab.pipeline(topic, lab.table(), more=through(proxy.url))
        began = time.monotonic()
        life = lab.engine(pipeline).run("--until-end", "--wait-at-most", "3s", seconds=60)
        assert life.code == 1 and time.monotonic() - began >= 3, life.tail()
        assert f"HTTP {status}" in life.tail() and words in life.tail() and "--wait-at-most" in life.tail(), life.tail()
    # Nothing was lost by that.
    pipeline.more = {}
    pipeline.write()
    life = lab.engine(pipeline).run("--until-end", "--wait-at-most=60s", seconds=60)
    assert life.code == 0 and lab.count(pipeline.table) == 1, life.tail()


def test_brokers_that_are_not_there_end_it_too(lab):
    pipeline = lab.pipeline("nowhere", lab.table(), more={"kafka": {"brokers": "127.0.0.1:1"}})
    life = lab.engine(pipeline).run("--until-end", "--wait-at-most", "2s", seconds=60)
    assert life.code == 1 and "for Kafka (--wait-at-most)" in life.tail(), life.tail()


@pytest.mark.parametrize("value", ["soon", "0s", "5"])
def test_a_time_to_wait_that_is_none_is_wrong_usage(lab, value):
    done = subprocess.run([lab.binary, "run", "nowhere.yaml", "--wait-at-most", value], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "--wait-at-most" in done.stderr, done.stderr
