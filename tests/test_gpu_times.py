"""The column of one GPU on the page of lesson 3, and the script that measures it, as far as a processor can tell."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks import gpu

from course_lib import gpu_times

CPU = torch.device("cpu")


def test_without_a_measurement_the_page_claims_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_times, "STORED", tmp_path / "absent.json")
    gpu_times.on_gpu()
    said = capsys.readouterr().out
    assert said.startswith("Not measured yet")
    assert gpu_times.COMMAND in said


@pytest.mark.parametrize("feed", [gpu.on_device, gpu.from_memory, gpu.pinned])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_step_of_each_kind_runs_and_is_timed(
    feed: gpu.Feed, dtype: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "IMAGES", 16)
    monkeypatch.setattr(gpu, "peak_flops", lambda precision, device: 1e12)
    small = replace(
        gpu.Setting(), size=32, batch_size=4, dtype=dtype, layout=torch.channels_last, feed=feed, waits=True
    )
    found = gpu.measure(small, CPU, seconds=0.01)
    assert found["images_per_second"] > 0
    assert found["mfu"] > 0
    batch = next(feed(torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8), 4, CPU))
    assert batch.shape == (4, 1, 8, 8)
    assert 0 <= batch.min() <= batch.max() <= 1


def test_each_row_has_its_own_name_and_changes_something() -> None:
    rows = gpu.settings(torch.bfloat16)
    assert len(rows) > 10
    assert len({repr(replace(one, network=one.network().__class__)) for one in rows.values()}) == len(rows)


def test_what_the_script_writes_is_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "measure", lambda setting, device, seconds: {"images_per_second": 1234.0, "mfu": 0.25})
    stored = tmp_path / "gpu.json"
    stored.write_text(json.dumps(gpu.column(CPU, {"float32": gpu.Setting()})), encoding="utf-8")
    monkeypatch.setattr(gpu_times, "STORED", stored)
    published: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.publish_display_data", published.append)
    gpu_times.on_gpu()
    table, caption = published
    assert "1,234" in table["text/plain"]
    assert "0.25" in table["text/plain"]
    assert torch.__version__.split("+")[0] in caption["text/plain"]


def test_a_row_that_there_is_no_time_for_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "LIMIT", -1.0)
    assert gpu.column(CPU, {"float32": gpu.Setting()})["rows"] == {}
