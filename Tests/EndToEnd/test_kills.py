"""The small kill trials; `make kills` runs the large ones."""

import pytest
from pipeline import MODES
from trial import Options, carry_out


@pytest.mark.parametrize("others", [False, True], ids=["alone", "others"])
@pytest.mark.parametrize("mode", MODES)
def test_no_row_is_missing_extra_or_double_after_kills_of_everything(millrace, mode, others):
    outcome = carry_out(Options(millrace, events=300_000, kills=6, server_kills=2, broker_kills=1, mode=mode, seed=20_260_131, others=others))
    assert outcome.problems == []
    assert outcome.proof["exact"] and outcome.engine_kills >= 6 and outcome.server_kills == 2 and outcome.broker_kills == 1
