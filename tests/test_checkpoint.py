import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file, save_model
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


def wrapped(kind: str) -> nn.Module:
    model = PneumoniaCNN(32)
    if kind == "compiled":
        return torch.compile(model)  # type: ignore[return-value]
    if kind == "parallel and compiled":
        return nn.DataParallel(torch.compile(model))  # type: ignore[arg-type]
    if kind == "a part compiled":
        name, part = next(iter(model.named_children()))
        setattr(model, name, torch.compile(part))
        return model
    return nn.DataParallel(model) if kind == "parallel" else model


KINDS = ("bare", "parallel", "compiled", "parallel and compiled", "a part compiled")


@pytest.mark.parametrize("saved", KINDS)
@pytest.mark.parametrize("loaded", KINDS)
def test_wrapped_networks_and_bare_ones_read_each_others_weights(tmp_path: Path, saved: str, loaded: str) -> None:
    first, second = wrapped(saved), wrapped(loaded)
    save_weights(str(tmp_path / "weights.safetensors"), first)
    load_weights(str(tmp_path / "weights.safetensors"), second)
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert set(load_file(tmp_path / "weights.safetensors")) == set(PneumoniaCNN(32).state_dict())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_weights_that_others_saved_with_a_wrappers_names_are_read(tmp_path: Path, prefix: str) -> None:
    first, second = PneumoniaCNN(32), PneumoniaCNN(32)
    save_file({prefix + name: tensor for name, tensor in first.state_dict().items()}, tmp_path / "w.safetensors")
    load_weights(tmp_path / "w.safetensors", second)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


class Tied(nn.Module):
    """One weight under two names, and two that are views of one storage."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)
        self.last.weight = self.first.weight
        both = torch.randn(2, 3)
        self.register_buffer("upper", both[0])
        self.register_buffer("lower", both[1])


def test_a_shared_tensor_is_written_once_and_its_other_name_told(tmp_path: Path) -> None:
    path, model, again = tmp_path / "w.safetensors", Tied(), Tied()
    save_weights(path, model)
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == {"first.weight", "first.bias", "last.bias", "upper", "lower"}
        assert file.metadata()["last.weight"] == "first.weight"
    load_weights(path, again)
    assert torch.equal(again.last.weight, model.first.weight)
    assert torch.equal(again.get_buffer("lower"), model.get_buffer("lower"))
    model.upper, model.lower = model.get_buffer("upper").clone(), model.get_buffer("lower").clone()
    save_model(model, str(path))  # safetensors' own way for shared tensors
    load_weights(path, Tied())
