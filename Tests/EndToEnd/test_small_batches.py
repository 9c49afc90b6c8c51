"""Seals of very many batches: each takes as many records of the log as it needs."""

import pytest

from laboratory import segments
EVENTS = 30_000


@pytest.mark.parametrize("rows", [1, 2])
def test_a_seal_of_very_many_batches_fits_the_log(lab, rows):
    """32,768 batches of an epoch of 65,536 records, with their columns, were more than a segment of 4 MiB takes."""
    topic = lab.topic(1)
    lab.produce_events(topic, range(EVENTS), partitions=1)
    pipeline = lab.pipeline(topic, lab.table(partition_by="tuple()", window=100), deduplicate=False, more={
        "sinks": {"table": {"clickhouse": {"batch": {"max_rows": rows, "max_delay": "2s"}}}},
        "epoch": {"max_delay": "2s"}, "log": {"unacked_max": "16MiB"}})
    lab.server.kill()
    life = lab.engine(pipeline).start()
    lab.until(lambda: "waiting for ClickHouse" in life.log.read_text(errors="replace"), life)
    lab.server.start()
    lab.until(lambda: lab.count(pipeline.table) > 100, life)
    assert all(path.stat().st_size <= 4 << 20 for path in segments(pipeline))
    life.kill()
    # Batches in doubt are found again; so are those that were sealed by several records.
    life = lab.engine(pipeline).start()
    before = lab.count(pipeline.table)
    lab.until(lambda: lab.count(pipeline.table) > before + 200, life)
    life.kill()
    batches = f"(SELECT count() AS n FROM {pipeline.table} GROUP BY _millrace_batch)"
    assert lab.count(batches, f"countIf(n > {rows})") == 0
