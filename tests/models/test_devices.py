"""Which device and number type a parameter means."""

from __future__ import annotations

import pytest
import torch

from surveysim.models import resolve_device, resolve_dtype


def test_auto_is_the_cpu_in_float32_without_a_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    assert resolve_dtype("auto", "auto") is torch.float32


def test_auto_is_cuda_in_bfloat16_with_a_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == torch.device("cuda", 1)
    assert resolve_device("cuda:0") == torch.device("cuda", 0)
    assert resolve_dtype("auto", "auto") is torch.bfloat16
    with pytest.raises(ValueError, match=r"'cuda:2' was asked for, but there are 2 CUDA cards"):
        resolve_device("cuda:2")


def test_auto_never_means_mps(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto").type == "cpu"
    assert resolve_device("mps").type == "mps"
    assert resolve_dtype("auto", "mps") is torch.float32


def test_one_cpu_whatever_its_index():
    assert resolve_device("cpu:0") == resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "meta", "xpu"])
def test_unknown_devices_are_named(device):
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu', 'cuda'") as caught:
        resolve_device(device)
    assert repr(device) in str(caught.value)


def test_absent_devices_are_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="sees no CUDA card here: use 'auto' or 'cpu'"):
        resolve_device("cuda")
    with pytest.raises(ValueError, match="no usable MPS"):
        resolve_device("mps")


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float32", torch.float32), ("float16", torch.float16), ("torch.bfloat16", torch.bfloat16)],
)
def test_number_types_by_name(dtype, expected):
    assert resolve_dtype(dtype) is expected
    assert resolve_dtype(expected) is expected


@pytest.mark.parametrize("dtype", ["int8", "double", torch.float64, torch.int64])
def test_unknown_number_types_are_named(dtype):
    with pytest.raises(ValueError, match=r"dtype must be 'auto' or one of \['float32', 'bfloat16', 'float16'\]"):
        resolve_dtype(dtype)


def test_wrong_kinds_of_value():
    with pytest.raises(TypeError, match="device must be a string"):
        resolve_device(0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dtype must be a string"):
        resolve_dtype(32)  # type: ignore[arg-type]
