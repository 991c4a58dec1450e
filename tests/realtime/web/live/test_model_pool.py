"""Models are opened once for all visitors, and anew after one has failed."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.inference.model import Model
from realtime.types import Window
from realtime.web.live.model_pool import ModelPool


@pytest.fixture
def own_models() -> ModelPool:
    return ModelPool(["kilas"], device="cpu")


def test_all_who_ask_share_one_model(own_models: ModelPool) -> None:
    assert own_models.names == ("kilas",)
    assert own_models.get("kilas") is own_models.get("kilas")
    own_models.close()
    with pytest.raises(KeyError):
        own_models.get("other")


def test_a_model_that_failed_is_opened_anew(
    own_models: ModelPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = own_models.get("kilas")
    signal = np.zeros(worker.network.spec.window_shape, np.float32)
    window = Window(0, 0.0, 1.0, signal)

    def lost(*args: object) -> None:
        raise RuntimeError("the card is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Model, "run", lost)
        with worker.client("wait") as lane, pytest.raises(RuntimeError, match="card is gone"):
            lane.exchange([window])
            lane.finish()
    assert worker.has_failed
    again = own_models.get("kilas")
    assert again is not worker
    with again.client("wait") as lane:
        lane.exchange([window])
        assert len(lane.finish()) == 1
    own_models.close()
