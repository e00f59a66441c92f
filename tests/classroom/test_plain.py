"""What may leave the sandbox: numbers, texts, tensors and collections of them."""

import torch

from course_lib.classroom.plain import from_json, to_json


def test_observations_survive_json_and_nothing_else_does() -> None:
    observed = {"a": (1, 2.5, None, "text", True), "b": torch.tensor([[1.0, float("nan")]]), 3: torch.tensor(2)}
    observed[2, 2] = [3]
    back = from_json(to_json(observed))
    assert back["a"] == (1, 2.5, None, "text", True)
    assert back[2, 2] == [3]
    assert torch.equal(back["b"].nan_to_num(), torch.tensor([[1.0, 0.0]]))
    assert back[3] == 2
    assert from_json(to_json(open)) == ("builtin_function_or_method", repr(open))
    for kind in (torch.int64, torch.bool, torch.float16, torch.float64):
        assert from_json(to_json(torch.ones(2).to(kind))).dtype == kind
