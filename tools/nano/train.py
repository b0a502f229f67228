"""Train the embedded model "nano" on generated surveys: `python -m tools.nano.train`; it resumes where it stopped."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen3ForCausalLM

from tools.nano.export import NANO, export
from tools.nano.network import losses, make_config, make_network
from tools.nano.packing import batches
from tools.nano.tokenizer import make_tokenizer

__all__ = ["Settings", "train"]

RUNS = Path(__file__).resolve().parent / "runs"
WEIGHTS = {"answer": 1.0, "text": 1.0, "language": 0.3, "background": 0.2, "question": 0.1}


@dataclass(frozen=True)
class Settings:
    """What a training run depends on; kept beside its checkpoint and compared when it resumes."""

    steps: int = 12000
    batch_size: int = 8
    batches_per_pool: int = 8
    learning_rate: float = 3e-3
    warm_up: float = 0.03
    weight_decay: float = 0.05
    seed: int = 0
    vocabulary: int = 3072
    hidden_size: int = 160
    num_hidden_layers: int = 5
    intermediate_size: int = 448
    bfloat16: bool = True


def rate(settings: Settings, progress: float) -> float:
    """Learning rate after a share `progress` of the training: linear warm-up, then a cosine to a hundredth."""
    if progress < settings.warm_up:
        return settings.learning_rate * max(progress / settings.warm_up, 0.01)
    along = (progress - settings.warm_up) / (1 - settings.warm_up)
    return settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * min(along, 1.0))) / 2)


def train(
    folder: Path,
    settings: Settings,
    *,
    budget: float | None = None,
    save_every: float = 120.0,
    export_to: Path | None = None,
    stop_after: int | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    progress_bar: bool = True,
) -> Qwen3ForCausalLM:
    """Train, or go on training, in a folder of checkpoints.

    Parameters
    ----------
    folder : Path
        Holds the tokenizer, the newest checkpoint and the log. A folder with a checkpoint is resumed.
    settings : Settings
    budget : float, optional
        Seconds of training in all, over all interruptions. The schedule then follows the clock where it is ahead
        of the steps, so that the learning rate has come down when the time is over.
    save_every : float
        Seconds between two checkpoints.
    export_to : Path, optional
        Where to write the model at each checkpoint, ready to load.
    stop_after : int, optional
        Stop after this step, as an interruption would, with a checkpoint.
    tokenizer : PreTrainedTokenizerBase, optional
        Default: the folder's own, or a new one.

    Raises
    ------
    ValueError
        If the folder's checkpoint was made with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer or _tokenizer(folder, settings)
    network = make_network(
        make_config(
            tokenizer,
            hidden_size=settings.hidden_size,
            num_hidden_layers=settings.num_hidden_layers,
            intermediate_size=settings.intermediate_size,
        ),
        settings.seed,
    ).train()
    optimizer = _optimizer(network, settings)
    step, spent = _resume(folder, settings, network, optimizer)
    last_save = start = time.monotonic()
    pool, ready = -1, []
    mean: dict[str, float] = {}
    with tqdm(total=settings.steps, initial=step, desc="nano", disable=not progress_bar, mininterval=5.0) as bar:
        while True:
            elapsed = spent + time.monotonic() - start
            progress = max(step / settings.steps, elapsed / budget if budget else 0.0)
            done = progress >= 1 or step == stop_after
            if done or time.monotonic() - last_save > save_every:
                _save(folder, settings, network, optimizer, step, elapsed)
                _log(folder, step, elapsed, mean)
                if export_to is not None:
                    export(network, tokenizer, export_to)
                last_save = time.monotonic()
            if done:
                return network.eval()
            if step // settings.batches_per_pool != pool:
                pool = step // settings.batches_per_pool
                ready = batches(
                    tokenizer,
                    seed=settings.seed + 1,
                    pool=pool,
                    batch_size=settings.batch_size,
                    batches_per_pool=settings.batches_per_pool,
                )
            for group in optimizer.param_groups:
                group["lr"] = rate(settings, progress)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                parts = losses(network, ready[step % settings.batches_per_pool])
            optimizer.zero_grad(set_to_none=True)
            torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            step += 1
            for name, part in parts.items():
                value = float(part.detach())
                if value:
                    mean[name] = value if name not in mean else 0.98 * mean[name] + 0.02 * value
            bar.update()
            bar.set_postfix({name: f"{value:.3f}" for name, value in mean.items()}, refresh=False)


def _tokenizer(folder: Path, settings: Settings) -> PreTrainedTokenizerBase:
    place = folder / "tokenizer"
    if not (place / "tokenizer.json").exists():
        made = make_tokenizer(vocabulary=settings.vocabulary, seed=settings.seed)
        made.save_pretrained(place)
    return AutoTokenizer.from_pretrained(place, local_files_only=True)


def _optimizer(network: Qwen3ForCausalLM, settings: Settings) -> torch.optim.AdamW:
    parameters = list(network.parameters())
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )


def _save(
    folder: Path,
    settings: Settings,
    network: Qwen3ForCausalLM,
    optimizer: torch.optim.AdamW,
    step: int,
    elapsed: float,
) -> None:
    """One file with everything, replaced in one go: a kill at any moment leaves the old checkpoint or the new one."""
    tensors = {}
    for name, parameter in network.named_parameters():
        tensors[f"weight/{name}"] = parameter.detach()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}/{name}"] = value.detach()
    about = {"step": str(step), "elapsed": repr(elapsed), "settings": json.dumps(asdict(settings))}
    part = folder / "checkpoint.safetensors.part"
    save_file(tensors, part, metadata=about)
    os.replace(part, folder / "checkpoint.safetensors")


def _resume(
    folder: Path, settings: Settings, network: Qwen3ForCausalLM, optimizer: torch.optim.AdamW
) -> tuple[int, float]:
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return 0, 0.0
    tensors, about = read_checkpoint(path)
    before = json.loads(about["settings"])
    changed = {key: (before.get(key), value) for key, value in asdict(settings).items() if before.get(key) != value}
    if changed:
        raise ValueError(f"the checkpoint in {folder} was made with other settings (before, now): {changed}")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(tensors[f"weight/{name}"])
            kept = (key for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in tensors)
            state = {key: tensors[f"{key}/{name}"] for key in kept}
            if state:
                optimizer.state[parameter] = state
    return int(about["step"]), float(about["elapsed"])


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and notes of a checkpoint."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = dict(file.metadata())
    return load_file(path), about


def _log(folder: Path, step: int, elapsed: float, mean: dict[str, float]) -> None:
    line = {"step": step, "elapsed": round(elapsed, 1), **{name: round(value, 4) for name, value in mean.items()}}
    with open(folder / "log.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=RUNS / "nano", help="checkpoints and log")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--minutes", type=float, default=75.0, help="wall-clock budget")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--preview", type=Path, default=None, help="folder to write the model to at each checkpoint")
    parser.add_argument("--export", type=Path, default=NANO, help="folder to write the trained model to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    settings = Settings(steps=options.steps, seed=options.seed)
    network = train(options.folder, settings, budget=options.minutes * 60, export_to=options.preview)
    export(network, _tokenizer(options.folder, settings), options.export)


if __name__ == "__main__":
    main()
