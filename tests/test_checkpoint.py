import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from course_lib.checkpoint import load_state, load_weights, save_state, save_weights
from course_lib.models import CompactCNN, PneumoniaCNN


def test_weights_come_back_bit_for_bit_with_batch_norm_statistics(tmp_path: Path) -> None:
    first, second = CompactCNN(), CompactCNN()
    first(torch.rand(4, 1, 32, 32))  # moves the running statistics
    save_weights(tmp_path / "w.safetensors", first)
    load_weights(tmp_path / "w.safetensors", second)
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_weights_of_another_architecture_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, PneumoniaCNN(32))
    with pytest.raises(
        ValueError, match=r"w\.safetensors: holds weights of PneumoniaCNN, which do not fit this CompactC"
    ):
        load_weights(path, CompactCNN())


def test_weights_of_another_width_name_the_tensor_and_both_shapes(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"weight is \(2, 3\) in the file and \(2, 4\) in the network"):
        load_weights(path, nn.Linear(4, 2))


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the pickle ran')",)


@pytest.mark.parametrize("write", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_a_pickle_offered_as_weights_is_refused_unopened(tmp_path: Path, write: object) -> None:
    path = tmp_path / "weights.pt"
    write(Malicious(), path)
    with pytest.raises(ValueError, match=r"weights\.pt: not a whole safetensors file .* are refused"):
        load_weights(path, CompactCNN())


def test_a_pickle_offered_as_state_is_refused_unopened(tmp_path: Path) -> None:
    torch.save({"epoch": Malicious()}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"state\.pt: not a state that this course saved"):
        load_state(tmp_path / "state.pt")


@pytest.mark.parametrize("kept", [0, 10, 1000])
def test_a_file_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    weights, state = tmp_path / "w.safetensors", tmp_path / "state.pt"
    save_weights(weights, CompactCNN())
    save_state(state, {"weights": torch.rand(1000)})
    for path in (weights, state):
        path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"w\.safetensors: not a whole"):
        load_weights(weights, CompactCNN())
    with pytest.raises(ValueError, match=r"state\.pt: not a state .* or cut short"):
        load_state(state)


def test_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such weights"):
        load_weights(tmp_path / "w.safetensors", CompactCNN())
    with pytest.raises(FileNotFoundError, match="nothing to resume from"):
        load_state(tmp_path / "state.pt")
