"""Does nano help? Frozen trunk, probes and stage 1 of the last block on real survey cells, against the plain logit.

A development check (it needs the survey files): `python -m tools.nano.spike FOLDER`, or `random` for untrained weights.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from surveysim.prompts import get_template, render
from surveysim.questions import Question
from tools.nano.network import make_config, make_network
from tools.nano.tokenizer import chat_text

QUESTIONS = (
    "Q2_1 Q2_2 Q2_3 Q2_6 Q2_8 Q2_10 Q3_5 Q4_2 Q4_4 Q6 Q8_1 Q8_2 Q8_4 Q8_6 Q8_7 Q9_2 Q16 Q17_1 Q17_4 Q26".split()  # noqa: SIM905
)
RIDGES = (5.0, 12.0, 30.0, 80.0)
ATTRIBUTES = ["age", "race", "educ", "gender"]


def read(folder: Path) -> tuple[pd.DataFrame, dict[str, Question], dict[str, list[int]]]:
    data = pd.read_csv(folder / "nonvoters_2020" / "nonvoters_data.csv").copy()
    data["age"] = pd.cut(data["ppage"], [0, 29, 44, 64, 200], labels=["18-29", "30-44", "45-64", "65 or older"]).astype(
        str
    )
    listed = json.loads((folder / "nonvoters_2020" / "questions.json").read_text())["questions"]
    by_name = {entry["variable"]: entry for entry in listed}
    questions = {name: Question(by_name[name]["question"], by_name[name]["options"]) for name in QUESTIONS}
    return data, questions, {name: by_name[name]["codes"] for name in QUESTIONS}


def counts(data: pd.DataFrame, codes: dict[str, list[int]], backgrounds: pd.DataFrame) -> dict[str, np.ndarray]:
    """Counts (backgrounds, K) per question."""
    index = pd.MultiIndex.from_frame(backgrounds)
    key = pd.MultiIndex.from_frame(data[ATTRIBUTES])
    place = index.get_indexer(key)
    result = {}
    for name, values in codes.items():
        table = np.zeros((len(backgrounds), len(values)))
        for k, code in enumerate(values):
            np.add.at(table[:, k], place[(data[name] == code).to_numpy()], 1)
        result[name] = table
    return result


def js(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / m), 0).sum(1)
        right = np.where(q > 0, q * np.log2(q / m), 0).sum(1)
    return (left + right) / 2


def evaluate(P: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> float:
    scores = []
    for name, table in truth.items():
        n = table.sum(1)
        keep = n >= 50
        scores.append(js(P[name][keep], table[keep] / n[keep, None]))
    return float(np.concatenate(scores).mean())


def logit(F: np.ndarray, train: dict[str, np.ndarray], ridge: float) -> dict[str, np.ndarray]:
    """Multinomial logit on features F (backgrounds, features), or one matrix per question; intercepts almost free."""
    from scipy.optimize import minimize

    result = {}
    for q, (name, table) in enumerate(train.items()):
        X = F[q] if F.ndim == 3 else F
        X = np.column_stack([np.ones(len(X)), X])
        K = table.shape[1]
        penalty = np.r_[0.04, np.full(X.shape[1] - 1, ridge)][:, None]

        def loss(w, X=X, table=table, K=K, penalty=penalty):
            W = w.reshape(-1, K)
            Z = X @ W
            Z -= Z.max(1, keepdims=True)
            log_p = Z - np.log(np.exp(Z).sum(1, keepdims=True))
            G = np.exp(log_p) * table.sum(1, keepdims=True) - table
            return -(table * log_p).sum() + (penalty * W * W).sum() / 2, (X.T @ G + penalty * W).ravel()

        w = minimize(loss, np.zeros(X.shape[1] * K), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
        Z = X @ w.reshape(-1, K)
        E = np.exp(Z - Z.max(1, keepdims=True))
        result[name] = E / E.sum(1, keepdims=True)
    return result


class Trunk:
    """States before the last block of all prompts, padded on the left, and the last block applied to them."""

    def __init__(self, folder: str, questions: dict[str, Question], backgrounds: pd.DataFrame) -> None:
        if folder.startswith("random:"):
            tokenizer = AutoTokenizer.from_pretrained(folder.removeprefix("random:"))
            self.model = make_network(make_config(tokenizer), 0).eval()
        else:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        template = get_template("default")
        rows = [{str(k): v for k, v in row.items()} for row in backgrounds.to_dict("records")]
        self.hidden: list[dict] = []
        self.labels: list[list[int]] = []
        for question in questions.values():
            letters = "ABCDEFGHIJ"[: question.n_options]
            texts = [chat_text(render(template, question, row, labels=letters)) for row in rows]
            batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
            with torch.no_grad():
                self.hidden.append(self._before(batch["input_ids"], batch["attention_mask"]))
            self.labels.append([tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in letters])
        self.n = len(rows)

    def _before(self, ids: torch.Tensor, mask: torch.Tensor) -> dict:
        caught: dict = {}

        def hook(_module, args, kwargs):
            caught.update(kwargs)
            caught["hidden_states"] = args[0] if args else kwargs["hidden_states"]

        handle = self.model.model.layers[-1].register_forward_pre_hook(hook, with_kwargs=True)
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        self.model.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        handle.remove()
        return {
            key: caught.get(key) for key in ("hidden_states", "attention_mask", "position_embeddings", "position_ids")
        }

    def features(self) -> np.ndarray:
        """(questions, backgrounds, width) at the last position, RMS-normalised and centred per question."""
        H = torch.stack([h["hidden_states"][:, -1] for h in self.hidden]).double()
        H = H / H.pow(2).mean(-1, keepdim=True).sqrt()
        return (H - H.mean(1, keepdim=True)).numpy()

    def stage_one(
        self, train: dict[str, np.ndarray], truth: dict, *, lr: float, decay: float, epochs: int
    ) -> list[float]:
        """Last block, norm, label rows and a bias per option: KL weighted by respondents; test divergence per epoch."""
        block, norm = copy.deepcopy(self.model.model.layers[-1]), copy.deepcopy(self.model.model.norm)
        most = max(len(ids) for ids in self.labels)
        rows = torch.nn.Parameter(
            self.model.lm_head.weight[self.labels[int(np.argmax([len(i) for i in self.labels]))]].detach().clone()
        )
        tables = [torch.tensor(t, dtype=torch.float32) for t in train.values()]
        bias = []
        with torch.no_grad():
            for t, h in zip(tables, self.hidden, strict=True):
                base = (norm(block(**h)[:, -1]) @ rows[: t.shape[1]].T).mean(0)
                start = torch.log((t.sum(0) + 0.5) / (t.sum() + 0.5 * t.shape[1]))
                bias.append(torch.nn.Parameter(start - base))
        del most
        parameters = [*block.parameters(), *norm.parameters(), rows]
        for p in parameters:
            p.requires_grad_(True)
        optimizer = torch.optim.AdamW(
            [{"params": parameters, "weight_decay": decay}, {"params": bias, "weight_decay": 0.0, "lr": lr * 3}], lr=lr
        )
        total = sum(float(t.sum()) for t in tables)
        curve = []
        for epoch in range(epochs):
            out = {}
            order = np.random.default_rng(epoch).permutation(len(tables))
            for q in order:
                t, h = tables[q], self.hidden[q]
                log_p = (norm(block(**h)[:, -1]) @ rows[: t.shape[1]].T + bias[q]).log_softmax(-1)
                loss = -(t * log_p).sum() / total * len(tables)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                for q, name in enumerate(train):
                    out[name] = (
                        (norm(block(**self.hidden[q])[:, -1]) @ rows[: tables[q].shape[1]].T + bias[q])
                        .softmax(-1)
                        .double()
                        .numpy()
                    )
            curve.append(evaluate(out, truth))
        return curve


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--lr", type=float, nargs="*", default=[3e-4])
    parser.add_argument("--probe-only", action="store_true")
    options = parser.parse_args()
    data, questions, codes = read(Path(os.environ.get("SURVEYSIM_DATA", "../shared/data")))
    backgrounds = data[ATTRIBUTES].drop_duplicates().sort_values(ATTRIBUTES).reset_index(drop=True)
    one_hot = pd.get_dummies(backgrounds).to_numpy(float)
    start = time.time()
    trunk = Trunk(options.folder, questions, backgrounds)
    F = trunk.features()
    variance = (F**2).mean(axis=(0, 1)).sum() / F.shape[2]
    print(f"trunk {time.time() - start:.1f} s; share of the states that tells backgrounds apart {variance:.3f}")
    for split in range(options.splits):
        order = np.random.default_rng(split).permutation(len(data))
        train, truth = (
            counts(data.iloc[order[: options.n]], codes, backgrounds),
            counts(data.iloc[order[options.n :]], codes, backgrounds),
        )
        pooled = {
            name: np.tile((t.sum(0) + 0.1) / (t.sum() + 0.1 * t.shape[1]), (len(t), 1)) for name, t in train.items()
        }
        print(
            f"split {split}: marginal {evaluate(pooled, truth):.4f}",
            f"plain logit {evaluate(logit(one_hot, train, 4.0), truth):.4f}",
            end="  ",
        )
        scale = np.sqrt(F.shape[2] * variance / 4)
        print(
            "probe",
            " ".join(f"{ridge:g}:{evaluate(logit(F / scale, train, ridge), truth):.4f}" for ridge in RIDGES),
        )
        if options.probe_only:
            continue
        for lr in options.lr:
            curve = trunk.stage_one(train, truth, lr=lr, decay=0.01, epochs=options.epochs)
            print(f"   stage 1, lr {lr:g}:", " ".join(f"{value:.4f}" for value in curve), flush=True)


if __name__ == "__main__":
    main()
