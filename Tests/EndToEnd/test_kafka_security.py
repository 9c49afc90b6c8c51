"""Kafka as it is secured: each way to encrypt and to authenticate, what goes wrong with each, and the rights that a pipeline needs."""

import itertools
import json
import os
import subprocess
import time

import pytest
from pipeline import KEY, PROVENANCE
from servers import CACHE, create_topic

from laboratory import PROVE, payload
from secured import PASSWORD, SECRET, USER, SecuredBroker, TokenEndpoint

# A broker with listeners of its own for each, and waits for tokens and rights.
pytestmark = pytest.mark.long
EVENTS = 3000
# What README says a pipeline needs.
RIGHTS = [("Read", "--topic"), ("DescribeConfigs", "--topic"), ("Read", "--group")]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def secured(kafka_script, tmp_path_factory):
    broker = SecuredBroker(tmp_path_factory.mktemp("secured"))
    try:
        broker.start()
        broker.set_scram()
        yield broker
    finally:
        broker.end()


@pytest.fixture(scope="module")
def newer_library(tmp_path_factory) -> dict:
    """The environment under which the engine takes a librdkafka that can do SCRAM with this Kafka; Debian 12's can't."""
    found = list((CACHE / "confluent-kafka-2.11.0").glob("lib/python3*/site-packages/confluent_kafka.libs/librdkafka*.so.1"))
    assert found, f"no newer librdkafka below {CACHE}; run: make setup"
    directory = tmp_path_factory.mktemp("library")
    (directory / "librdkafka.so.1").symlink_to(found[0])
    return {"LD_LIBRARY_PATH": str(directory)}


@pytest.fixture(scope="module")
def tokens():
    endpoint = TokenEndpoint()
    with endpoint.running():
        yield endpoint


class Case:
    """A topic with events, a table, and a pipeline file whose clients come in by one of the listeners."""

    def __init__(self, lab, broker: SecuredBroker, principal: str | None, listener: str, properties: dict, events: int = EVENTS,
                 environment: dict | None = None):
        self.lab, self.broker, self.principal = lab, broker, principal
        self.topic = f"secured-{next(_numbers)}"
        create_topic(broker.address, self.topic, 2)
        self.produce(range(events))
        self.pipeline = lab.pipeline(self.topic, lab.table(), more={"kafka": {"brokers": broker.addresses[listener], "properties": properties}})
        self.group = f"millrace-{self.pipeline.name}"
        if principal:
            broker.grant_all(principal, self.topic, self.group)
        self.life, self.environment = None, environment or {}

    def produce(self, numbers):
        for partition in range(2):
            lines = b"".join(payload(n) + b"\n" for n in numbers if n % 2 == partition)
            subprocess.run(["kcat", "-P", "-b", self.broker.address, "-t", self.topic, "-p", str(partition)], input=lines, check=True,
                           capture_output=True)

    def run(self, seconds: float = 180):
        self.life = self.lab.engine(self.pipeline).run("--until-end", seconds=seconds, **self.environment)
        assert self.life.code == 0, self.life.tail()
        return self

    def start(self, *options):
        self.life = self.lab.engine(self.pipeline).start(*options, **self.environment)
        return self.life

    def log(self) -> str:
        return self.life.log.read_text(errors="replace")

    def until_said(self, words: str, seconds: float = 90):
        self.lab.until(lambda: words in self.log(), self.life, seconds)

    def until_rows(self, count: int, seconds: float = 120):
        self.lab.until(lambda: self.lab.count(self.pipeline.table) >= count, self.life, seconds)

    def check(self) -> subprocess.CompletedProcess:
        return subprocess.run([self.lab.binary, "check", self.pipeline.file, "--connect"], capture_output=True, text=True, timeout=120,
                              env=os.environ | self.environment)

    def assert_exact(self, unique: int):
        done = subprocess.run([PROVE, "--json", "--brokers", self.broker.address, "--topic", self.topic, "--clickhouse", self.lab.server.url,
                               "--table", self.pipeline.table, "--ignore", PROVENANCE, "--key", KEY], capture_output=True, text=True)
        assert done.stdout, done.stderr
        result = json.loads(done.stdout)
        assert result["exact"] and result["keys"] == result["rows"] == unique, result

    def assert_no_secrets(self):
        assert PASSWORD not in self.log() and SECRET not in self.log()


def tls(broker, **more):
    return {"security.protocol": "ssl", "ssl.ca.location": str(broker.authority.file)} | more


def sasl(broker, mechanism, password=PASSWORD, **more):
    return {"security.protocol": "sasl_ssl", "ssl.ca.location": str(broker.authority.file), "sasl.mechanism": mechanism,
            "sasl.username": USER, "sasl.password": password} | more


def oauth(broker, endpoint, secret=SECRET):
    return {"security.protocol": "sasl_ssl", "ssl.ca.location": str(broker.authority.file), "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": "client", "sasl.oauthbearer.client.secret": secret,
            "sasl.oauthbearer.token.endpoint.url": endpoint.url, "sasl.oauthbearer.scope": "kafka"}


def mutual(broker):
    return tls(broker, **{"ssl.key.location": str(broker.client.with_suffix(".key")),
                          "ssl.certificate.location": str(broker.client.with_suffix(".crt"))})


# MARK: Each way in


def test_a_pipeline_over_tls_is_exact(lab, secured):
    Case(lab, secured, None, "tls", tls(secured)).run().assert_exact(EVENTS)


def test_a_pipeline_that_shows_a_certificate_is_exact(lab, secured):
    Case(lab, secured, f"CN={USER}-by-certificate", "mtls", mutual(secured)).run().assert_exact(EVENTS)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_pipeline_with_a_password_is_exact_and_prints_it_nowhere(lab, secured, newer_library, mechanism):
    environment = newer_library if mechanism.startswith("SCRAM") else {}
    case = Case(lab, secured, USER, "sasl", sasl(secured, mechanism), environment=environment).run()
    case.assert_exact(EVENTS)
    case.assert_no_secrets()
    checked = case.check()
    assert checked.returncode == 0 and PASSWORD not in checked.stdout + checked.stderr, checked.stderr


def test_a_pipeline_with_tokens_is_exact_and_prints_no_secret(lab, secured, tokens):
    case = Case(lab, secured, tokens.subject, "oauth", oauth(secured, tokens)).run()
    case.assert_exact(EVENTS)
    case.assert_no_secrets()
    path, _, body = tokens.requests[-1]
    assert path == "/oauth/token" and body == b"grant_type=client_credentials&scope=kafka"


def test_generate_takes_brokers_properties_and_topic_of_a_pipeline_file(lab, secured):
    case = Case(lab, secured, USER, "sasl", sasl(secured, "PLAIN"), events=0)
    secured.grant(USER, "Write", "--topic", case.topic)
    done = subprocess.run([lab.binary, "generate", "--pipeline", case.pipeline.file, "--count", "500", "--duplicates", "0"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and PASSWORD not in done.stdout + done.stderr, done.stderr
    case.run()
    case.assert_exact(500)


# MARK: What goes wrong


def assert_waits_for(case: Case, *words: str, seconds: float = 4):
    """The engine says why it waits, once, goes on waiting, and sends nothing."""
    case.start()
    case.until_said("waiting for Kafka")
    for word in words:
        case.until_said(word)
    time.sleep(seconds)
    assert not case.life.ended(), case.life.tail()
    lines = [line for line in case.log().splitlines() if "waiting for Kafka" in line]
    assert len(lines) <= 2, "\n".join(lines)
    assert case.lab.count(case.pipeline.table) == 0
    checked = case.check()
    assert checked.returncode == 1, checked.stdout + checked.stderr
    for word in words:
        assert word in checked.stderr, checked.stderr


def test_scram_that_this_library_can_not_do_is_named_as_such(lab, secured):
    assert_waits_for(Case(lab, secured, USER, "sasl", sasl(secured, "SCRAM-SHA-256")), "librdkafka before 2.6.1", "take PLAIN")


def test_a_wrong_password_is_waited_out_with_the_brokers_reason_and_printed_nowhere(lab, secured, newer_library):
    case = Case(lab, secured, USER, "sasl", sasl(secured, "SCRAM-SHA-512", password="canary-wrong-1177"), environment=newer_library)
    assert_waits_for(case, "invalid credentials with SASL mechanism SCRAM-SHA-512")
    assert "canary-wrong-1177" not in case.log()
    # The broker learns that password: the engine goes on by itself.
    secured.set_scram("canary-wrong-1177")
    try:
        case.until_rows(EVENTS)
    finally:
        secured.set_scram()
    case.assert_exact(EVENTS)


@pytest.mark.parametrize("listener, address, authority, words", [
    ("expired", None, "authority", "has expired"),
    ("tls", None, "foreign", "is signed by an authority that ssl.ca.location doesn't have"),
    ("stranger", None, "authority", "is for another host"),
], ids=["expired", "unknown authority", "another host"])
def test_a_certificate_that_proves_nothing_is_refused_and_named(lab, secured, listener, address, authority, words):
    properties = tls(secured) | {"ssl.ca.location": str(getattr(secured, authority).file)}
    assert_waits_for(Case(lab, secured, None, listener, properties), words, secured.addresses[listener])


def test_a_client_without_certificate_is_refused_where_one_is_required(lab, secured):
    assert_waits_for(Case(lab, secured, None, "mtls", tls(secured)), "the broker refuses the client's certificate", "there is none")


def test_a_clients_own_certificate_that_has_expired_is_waited_out_with_the_brokers_reason(lab, secured):
    expired = secured.authority.certificate("client-expired", f"/CN={USER}-by-certificate", expired=True)
    properties = tls(secured, **{"ssl.key.location": str(expired.with_suffix(".key")), "ssl.certificate.location": str(expired.with_suffix(".crt"))})
    assert_waits_for(Case(lab, secured, None, "mtls", properties), "alert certificate unknown", "the broker refuses the client's certificate")


def test_a_wrong_client_secret_is_waited_out_with_the_endpoints_reason(lab, secured, tokens):
    case = Case(lab, secured, tokens.subject, "oauth", oauth(secured, tokens, secret="canary-other-4410"))
    assert_waits_for(case, "HTTP 401: invalid_client (unknown client or wrong secret)", tokens.url)
    assert "canary-other-4410" not in case.log()


def test_a_token_endpoint_that_is_down_at_the_start_is_waited_for(lab, secured):
    endpoint = TokenEndpoint()
    case = Case(lab, secured, endpoint.subject, "oauth", oauth(secured, endpoint))
    assert_waits_for(case, endpoint.url)
    with endpoint.running():
        case.until_rows(EVENTS)
        case.life.signal(15)
        assert case.life.wait(60) == 0, case.life.tail()
    case.assert_exact(EVENTS)


def test_tokens_are_renewed_before_they_expire_and_an_endpoint_that_fails_meanwhile_is_waited_for(lab, secured):
    with TokenEndpoint(seconds=8).running() as endpoint:
        case = Case(lab, secured, endpoint.subject, "oauth", oauth(secured, endpoint))
        case.start()
        case.until_rows(EVENTS)
        lab.until(lambda: len(endpoint.requests) >= 3, case.life, 60)
        endpoint.stop()
        case.until_said("waiting for Kafka")
        case.produce(range(EVENTS, EVENTS + 500))
        case.until_said(endpoint.url)
        assert "waiting for Kafka" in case.log() and not case.life.ended(), case.life.tail()
        endpoint.start()
        case.until_rows(EVENTS + 500)
        case.assert_exact(EVENTS + 500)


@pytest.mark.parametrize("operation, resource", RIGHTS, ids=lambda word: word.strip("-"))
def test_an_acl_taken_away_while_running_is_named_and_given_back_goes_on(lab, secured, operation, resource):
    case = Case(lab, secured, USER, "sasl", sasl(secured, "PLAIN"))
    case.start()
    case.until_rows(EVENTS)
    right = (USER, operation, resource, case.topic if resource == "--topic" else case.group)
    secured.revoke(*right)
    case.produce(range(EVENTS, EVENTS + 500))
    case.until_said("authorization failed")
    time.sleep(3)
    assert not case.life.ended(), case.life.tail()
    secured.grant(*right)
    case.until_rows(EVENTS + 500)
    case.until_said("Kafka answers again")
    case.assert_exact(EVENTS + 500)


# MARK: Rights



@pytest.mark.parametrize("missing", RIGHTS, ids=lambda right: f"{right[0]} {right[1]}")
def test_each_right_that_is_missing_is_named_with_the_command_that_gives_it(lab, secured, missing):
    case = Case(lab, secured, None, "sasl", sasl(secured, "PLAIN"))
    names = {"--topic": case.topic, "--group": case.group}
    for operation, resource in RIGHTS:
        if (operation, resource) != missing:
            secured.grant(USER, operation, resource, names[resource])
    checked = case.check()
    assert checked.returncode == 1, checked.stdout
    operation, resource = missing
    command = f"--add --allow-principal User:{USER} --operation {operation} {resource} {names[resource]}"
    assert command in checked.stderr, checked.stderr
    # What the message says is what helps.
    secured.acls(*command.split())
    assert case.check().returncode == 0, case.check().stderr
    case.run().assert_exact(EVENTS)


# MARK: The file


@pytest.mark.parametrize("properties, words", [
    ({}, "security.protocol"),
    ({"sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "canary-file-2"}, "connects in plaintext"),
], ids=["nothing written", "sasl without protocol"])
def test_a_file_that_would_fall_back_to_plaintext_is_refused(lab, secured, properties, words):
    pipeline = lab.pipeline("t", "default.t", more={"kafka": {"brokers": "kafka.example:9092", "properties": properties}})
    for arguments in (["check", pipeline.file], ["run", pipeline.file]):
        done = subprocess.run([lab.binary, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 3 and words in done.stderr and "canary" not in done.stderr, done.stderr
