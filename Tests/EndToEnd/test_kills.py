"""The small kill trials; `make kills` runs the large ones."""

import pytest
from pipeline import MODES
from trial import Options, carry_out


# What others use up is the window, which only the first mode has. With them each doubt takes `settle`, and a trial many minutes.
@pytest.mark.parametrize("mode, others", [
    *(pytest.param(mode, False, id=f"{mode}-alone") for mode in MODES),
    *(pytest.param(mode, True, id=f"{mode}-others", marks=pytest.mark.long) for mode in MODES)])
def test_no_row_is_missing_extra_or_double_after_kills_of_everything(millrace, mode, others):
    outcome = carry_out(Options(millrace, events=300_000, kills=6, server_kills=2, broker_kills=1, mode=mode, seed=20_260_131, others=others))
    assert outcome.problems == []
    assert outcome.proof["exact"] and outcome.engine_kills >= 6 and outcome.server_kills == 2 and outcome.broker_kills == 1
