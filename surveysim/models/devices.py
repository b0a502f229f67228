"""Which device and which number type a model runs on."""

from __future__ import annotations

import torch

__all__ = ["resolve_device", "resolve_dtype"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Resolve a `device` parameter.

    Parameters
    ----------
    device : str or torch.device, default="auto"
        ``"auto"``: CUDA if there is a usable card, else the CPU. ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ... by name.
        Apple's ``"mps"`` is used only when named: it lacks some operations and rounds differently from run to run.

    Returns
    -------
    torch.device
        With its index where it is CUDA, so that ``"cuda"`` and ``"cuda:0"`` mean one loaded model.

    Raises
    ------
    ValueError
        If there is no such device, or not on this machine, or not in a process forked from one that uses it.
    TypeError
        If `device` is neither a string nor a torch.device.

    Examples
    --------
    >>> from surveysim.models import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if not isinstance(device, str | torch.device):
        raise TypeError(f"device must be a string such as 'auto', 'cpu' or 'cuda:0', got {device!r}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    expected = "device must be 'auto', 'cpu', 'cuda', 'cuda:<index>' or 'mps'"
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ValueError(f"{expected}, got {device!r}") from None
    if found.type == "cpu":
        return torch.device("cpu")
    if found.type == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError("device='mps' was asked for, but this machine has no usable MPS: use 'auto' or 'cpu'")
        return torch.device("mps")
    if found.type != "cuda":
        raise ValueError(f"{expected}, got {str(device)!r}")
    if not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} was asked for, but torch {torch.__version__} sees no CUDA card here: "
            "use 'auto' or 'cpu', or install a torch build for your card"
        )
    if torch.cuda._is_in_bad_fork():
        raise ValueError(
            f"device={str(device)!r}: this process was forked from one that uses the card, and cannot use it itself. "
            'Choose joblib\'s backend "loky" or "threading" in place of "multiprocessing", or device=\'cpu\''
        )
    index = torch.cuda.current_device() if found.index is None else found.index
    if index >= torch.cuda.device_count():
        raise ValueError(f"device={str(device)!r} was asked for, but there are {torch.cuda.device_count()} CUDA cards")
    return torch.device("cuda", index)


def resolve_dtype(dtype: str | torch.dtype = "auto", device: str | torch.device = "cpu") -> torch.dtype:
    """Resolve a `dtype` parameter for a device.

    Parameters
    ----------
    dtype : {"auto", "float32", "bfloat16", "float16"} or torch.dtype, default="auto"
        ``"auto"``: bfloat16 on CUDA, where it halves memory at little loss; float32 elsewhere.
    device : str or torch.device, default="cpu"
        Where the model will run.

    Returns
    -------
    torch.dtype

    Raises
    ------
    ValueError
        If the type is none of these: eight-bit, integer or complex models are not supported.
    TypeError
        If `dtype` is neither a string nor a torch.dtype.

    Examples
    --------
    >>> from surveysim.models import resolve_dtype
    >>> resolve_dtype("auto", "cpu"), resolve_dtype("bfloat16", "cpu")
    (torch.float32, torch.bfloat16)
    """
    if not isinstance(dtype, str | torch.dtype):
        raise TypeError(f"dtype must be a string such as 'auto' or 'float32', or a torch.dtype, got {dtype!r}")
    if dtype == "auto":
        return torch.bfloat16 if resolve_device(device).type == "cuda" else torch.float32
    found = _DTYPES.get(dtype.removeprefix("torch.")) if isinstance(dtype, str) else dtype
    if found not in _DTYPES.values():
        raise ValueError(f"dtype must be 'auto' or one of {list(_DTYPES)}, got {str(dtype)!r}")
    assert found is not None
    return found
