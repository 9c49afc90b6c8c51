"""TLS to ClickHouse: a certificate that isn't right is waited for with the reason, never let pass, and never replaced by plain HTTP."""

import signal
import time

import pytest

from laboratory import Lab
from tls import Authority, Terminator

EVENTS = 1_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secured(lab: Lab, authority):
    """A function that puts a terminator with this certificate before the server, and gives it and a pipeline that goes through it."""
    terminators = []

    def make(pair, clients=None, ca=authority.pair.certificate, **more):
        terminator = Terminator(lab.server.url, pair, clients)
        terminators.append(terminator)
        topic = lab.topic(1)
        lab.produce_events(topic, range(EVENTS), partitions=1)
        tls = {"tls": {"ca": str(ca)} | more} if ca or more else {}
        keys = {"sinks": {"table": {"clickhouse": {"url": terminator.url} | tls}}}
        return terminator, lab.pipeline(topic, lab.table(), more=keys)
    yield make
    for terminator in terminators:
        terminator.close()


def waits(lab, pipeline, *words):
    """Starts the engine and waits until it says each of these; it goes on waiting, and nothing has come into the table."""
    life = lab.engine(pipeline).start("--until-end")
    lab.until(lambda: all(word in life.log.read_text(errors="replace") for word in ("waiting for ClickHouse", *words)), life)
    assert not life.ended() and lab.count(pipeline.table) == 0, life.tail()
    return life


def test_a_good_certificate_of_our_own_authority_is_taken(lab, authority, secured):
    terminator, pipeline = secured(authority.sign("good"))
    life = lab.engine(pipeline).run("--until-end", seconds=120)
    assert life.code == 0, life.tail()
    lab.assert_exact(pipeline, unique=EVENTS)
    assert terminator.accepted > 0


@pytest.mark.parametrize("name, words", [
    ("unknown authority", ["certificate"]), ("another host", ["127.0.0.1"]), ("expired", ["expired"]), ("not yet", ["not yet valid"]),
])
def test_a_certificate_that_is_not_right_is_waited_for_with_the_reason(lab, authority, secured, tmp_path, name, words):
    made = name.replace(" ", "-")
    if name == "unknown authority":
        pair = Authority(tmp_path, "stranger").sign(made)
    elif name == "another host":
        pair = authority.sign(made, host="DNS:db.example")
    elif name == "expired":
        pair = authority.sign(made, end="20200102000000Z")
    else:
        pair = authority.sign(made, start="20390101000000Z")
    terminator, pipeline = secured(pair)
    life = waits(lab, pipeline, *words)
    assert terminator.requests == b"", "a request went to a server that had not shown who it is"
    terminator.show(authority.sign(f"{made}-mended"))
    assert life.wait(120) == 0, life.tail()
    lab.assert_exact(pipeline, unique=EVENTS)


def test_without_an_authority_the_systems_ones_count_and_ours_is_none_of_them(lab, authority, secured):
    terminator, pipeline = secured(authority.sign("selfmade"), ca=None)
    waits(lab, pipeline, "certificate").kill()
    assert terminator.requests == b""
    done = lab.check(pipeline)
    assert done.returncode == 1 and "certificate" in done.stdout + done.stderr, done.stderr


def test_a_server_that_asks_for_a_certificate_gets_ours(lab, authority, secured):
    clients = authority.pair.certificate
    terminator, pipeline = secured(authority.sign("asking"), clients=clients)
    waits(lab, pipeline).kill()
    pair = authority.sign("client")
    terminator, pipeline = secured(authority.sign("asking2"), clients=clients, certificate=str(pair.certificate), key=str(pair.key))
    life = lab.engine(pipeline).run("--until-end", seconds=120)
    assert life.code == 0, life.tail()
    lab.assert_exact(pipeline, unique=EVENTS)


def test_a_certificate_that_expires_while_running_is_waited_for(lab, authority, secured):
    terminator, pipeline = secured(authority.sign("young"))
    life = lab.engine(pipeline).start()
    lab.until(lambda: lab.count(pipeline.table) == EVENTS, life)
    terminator.show(authority.sign("old", end="20200102000000Z"))
    time.sleep(3)  # connections are kept for 2 s, and are not looked at again
    lab.produce_events(pipeline.topic, range(EVENTS, 2 * EVENTS), partitions=1)
    lab.until(lambda: "expired" in life.log.read_text(errors="replace"), life)
    assert lab.count(pipeline.table) == EVENTS
    terminator.show(authority.sign("renewed"))
    lab.until(lambda: lab.count(pipeline.table) == 2 * EVENTS, life)
    life.signal(signal.SIGTERM)
    assert life.wait(60) == 0, life.tail()
    lab.assert_exact(pipeline, unique=2 * EVENTS)


def test_user_and_password_stand_in_headers_and_in_no_url(lab, authority, secured):
    terminator, pipeline = secured(authority.sign("looked-at"))
    pipeline.more["sinks"]["table"]["clickhouse"] |= {"user": "narrowed", "password": "canary-4711"}
    pipeline.write()
    life = lab.engine(pipeline).run("--until-end", seconds=60)
    assert life.code in (1, 3) and "516" in life.tail() and "canary" not in life.tail(), life.tail()
    assert b"X-ClickHouse-Key: canary-4711\r\n" in terminator.requests
    assert not [line for line in terminator.requests.split(b"\r\n") if line.startswith(b"POST") and b"canary" in line]
