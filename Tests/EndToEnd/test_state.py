"""`millrace state stats|get`: what the deduplication remembers, beside a pipeline that runs and one that doesn't."""

import itertools
import json
import os
import subprocess
import threading
import time

import pytest

from disks import build
from laboratory import event, payload

EVENTS = 3000
FAST = {"checkpoint": {"interval": "300ms"}}


def state(lab, pipeline, *words: str, code: int = 0) -> dict:
    done = subprocess.run([lab.binary, "state", *words[:1], pipeline.file, *words[1:], "--json"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if code == 0 else {"error": done.stderr}


def until_known(lab, pipeline, life, number: int):
    """Waits for a checkpoint, then for one that knows the event."""
    lab.until(lambda: list(pipeline.state.glob("checkpoints/*/MANIFEST")), life)
    lab.until(lambda: state(lab, pipeline, "get", f"event_id={event(number)['event_id']}")["known"], life)


def exact(is_exact: bool, key=("event_id",)) -> dict:
    return FAST | {"operators": {"unique_events": {"deduplicate": {"exact": is_exact, "key": list(key)}}}}


@pytest.fixture(params=[False, True], ids=["hashed", "exact"])
def ran(request, lab):
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    pipeline = lab.pipeline(topic, lab.table(), more=exact(request.param))
    life = lab.engine(pipeline).run("--until-end", seconds=120)
    assert life.code == 0, life.tail()
    return pipeline


def test_a_key_is_known_since_its_first_record_with_partition_and_offset(lab, ran):
    # Of partition 1 every third number; 5 stands there twice: numbers 1, 4, 7, 10, 10, ...
    answer = state(lab, ran, "get", f"event_id={event(10)['event_id']}")
    assert answer["known"] and (answer["partition"], answer["offset"]) == (1, 3), answer
    assert answer["kept_until_ms"] > answer["first_seen_ms"]
    assert answer["as_of"]["next_offsets"] == [1200, 1200, 1200], answer
    unknown = state(lab, ran, "get", "event_id=never-seen")
    assert unknown["known"] is False and "partition" not in unknown
    text = subprocess.run([lab.binary, "state", "get", ran.file, f"event_id={event(10)['event_id']}"], capture_output=True, text=True)
    assert "partition 1, offset 3" in text.stdout and "as of checkpoint" in text.stdout, text.stdout


def test_stats_count_keys_bytes_and_buckets(lab, ran):
    stats = state(lab, ran, "stats")
    assert stats["keys"] == EVENTS and stats["bytes"] > 0 and len(stats["buckets"]) >= 1, stats
    assert not list(ran.state.glob("checkpoints/look-*")), "the clone was left behind"


def test_beside_a_running_pipeline_it_answers_as_of_the_newest_checkpoint(lab):
    topic = lab.topic()
    lab.produce_events(topic, range(EVENTS))
    pipeline = lab.pipeline(topic, lab.table(), more=FAST)
    life = lab.engine(pipeline).start()
    lab.until(lambda: lab.count(pipeline.table) == EVENTS, life)
    until_known(lab, pipeline, life, 7)
    assert life.code is None


def test_a_checkpoint_that_is_removed_while_it_is_read_costs_no_answer(lab, tmp_path):
    library, topic = build("diskfault", tmp_path), lab.topic()
    lab.produce_events(topic, range(EVENTS))
    pipeline = lab.pipeline(topic, lab.table(), more={"checkpoint": {"interval": "100ms", "retain": 1}})
    life = lab.engine(pipeline).start()
    until_known(lab, pipeline, life, 7)
    over = threading.Event()

    def produce():
        for number in itertools.count(EVENTS):
            if over.wait(0.05):
                return
            lab.produce(topic, [payload(number)])

    producer = threading.Thread(target=produce)
    producer.start()
    fault = os.environ | {"LD_PRELOAD": str(library), "DISK_FAULT": "link:/look-:1:wait"}
    try:
        for _ in range(10):
            # Before the first of its files the looker waits for a second, in which the pipeline publishes others and removes this one.
            began = time.time()
            done = subprocess.run([lab.binary, "state", "get", pipeline.file, f"event_id={event(7)['event_id']}", "--json"],
                                  capture_output=True, text=True, timeout=60, env=fault)
            assert "disk fault link" in done.stderr and done.returncode == 0, done.stdout + done.stderr
            answer = json.loads(done.stdout)
            assert answer["known"], answer
            # A checkpoint of after the wait: the first one was gone.
            if answer["as_of"]["clock_ms"] > began * 1000 + 500:
                break
        else:
            pytest.fail(f"no checkpoint was removed while it was read: {answer}\n{life.tail()}")
    finally:
        over.set()
        producer.join()
    assert life.code is None, life.tail()


def test_a_key_of_several_typed_fields_is_read_as_a_records_would_be(lab):
    topic = lab.topic()
    lab.produce(topic, [payload(1, user_id=7, name="a b"), payload(2, user_id=7, name="c")])
    pipeline = lab.pipeline(topic, lab.table(), more=exact(False, ("user_id", "name")))
    life = lab.engine(pipeline).run("--until-end")
    assert life.code == 0, life.tail()
    assert state(lab, pipeline, "get", "name=a b", "user_id=7")["offset"] == 0
    assert state(lab, pipeline, "get", "user_id=7", "name=c")["offset"] == 1
    assert state(lab, pipeline, "get", "user_id=8", "name=c")["known"] is False
    assert "name=VALUE is missing" in state(lab, pipeline, "get", "user_id=7", code=2)["error"]
    assert "UInt64" in state(lab, pipeline, "get", "user_id=seven", "name=c", code=2)["error"]
    assert "user_id" in state(lab, pipeline, "get", "user=7", "name=c", code=2)["error"]


def test_without_a_checkpoint_or_an_operator_it_says_so(lab):
    topic = lab.topic()
    pipeline = lab.pipeline(topic, lab.table(), more=FAST)
    assert "has the pipeline run" in state(lab, pipeline, "stats", code=1)["error"]
    plain = lab.pipeline(topic, lab.table(), deduplicate=False)
    assert "no deduplicate" in state(lab, plain, "stats", code=1)["error"]
