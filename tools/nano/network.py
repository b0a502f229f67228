"""Nano's architecture and what its training minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM

from tools.nano.packing import Batch, Layout

__all__ = ["losses", "make_config", "make_network"]

# Share of a state's size that tells backgrounds apart, and that tells questions apart, just before the last block.
BACKGROUND_SHARE = 0.25
QUESTION_SHARE = 0.35
# Mean square of the backgrounds' features (three attributes with variance one), and the noise through which two priors
# over functions of the backgrounds are compared, as a share of it.
FEATURE_SIZE = 3.0
NOISE = 0.1


def make_config(
    tokenizer: PreTrainedTokenizerBase,
    *,
    hidden_size: int = 160,
    num_hidden_layers: int = 5,
    intermediate_size: int = 448,
) -> Qwen3Config:
    """The shape of nano: small enough that its last block is fine-tuned in seconds on one core."""
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=num_hidden_layers,
        intermediate_size=intermediate_size,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        use_cache=True,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def make_network(config: Qwen3Config, seed: int) -> Qwen3ForCausalLM:
    """Random weights from a seed, without touching torch's global state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM._from_config(config, attn_implementation="nano_packed").float()


def _packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    **_ignored: object,
) -> tuple[torch.Tensor, None]:
    """Attention of a packed row: the shared text to itself, each background to the shared text and to itself.

    `query` (1, H, N, D), `key` and `value` (1, H_kv, N, D). A mask over all N x N pairs of tokens would cost ten times
    as much, nearly all of it for pairs that may not see each other.
    """
    n_heads, width = query.shape[1], query.shape[3]
    repeats = n_heads // key.shape[1]
    scale = width**-0.5
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query * scale, key, value))  # (N, heads, D)
    n, length = layout.shared.shape
    m, own_length = layout.own.shape[1:]

    def heads(tensor: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """(n, kv heads, repeats or 1, tokens, D) of the tokens at `places` (n, tokens)."""
        taken = tensor[places.flatten()].view(*places.shape, key.shape[1], -1, width)
        return taken.permute(0, 2, 3, 1, 4)

    shared_k, shared_v = heads(k, layout.shared), heads(v, layout.shared)
    causal = torch.ones(length, length, dtype=torch.bool).tril() & layout.shared_mask[:, None, None, None, :]
    causal = causal | torch.eye(length, dtype=torch.bool)  # padding sees itself: a row that sees nothing is NaN
    scores = heads(q, layout.shared) @ shared_k.transpose(-1, -2)
    weights = scores.float().masked_fill(~causal, -torch.inf).softmax(-1).to(v.dtype)
    of_shared = (weights @ shared_v).permute(0, 3, 1, 2, 4).reshape(n * length, n_heads, width)

    flat = layout.own.view(n, m * own_length)
    own_q, own_k, own_v = heads(q, flat), heads(k, flat), heads(v, flat)
    kv = key.shape[1]
    to_shared = (own_q @ shared_k.transpose(-1, -2)).view(n, kv, repeats, m, own_length, length)
    split = (n, kv, -1, m, own_length, width)
    to_own = own_q.reshape(split) @ own_k.reshape(split).transpose(-1, -2)
    seen = torch.ones(own_length, own_length, dtype=torch.bool).tril() & layout.own_mask[:, None, None, :, None, :]
    seen = seen | torch.eye(own_length, dtype=torch.bool)
    scores = torch.cat(
        [
            to_shared.float().masked_fill(~layout.shared_mask[:, None, None, None, None, :], -torch.inf),
            to_own.float().masked_fill(~seen, -torch.inf),
        ],
        -1,
    )
    weights = scores.softmax(-1).to(v.dtype)
    from_shared = weights[..., :length].reshape(n, kv, repeats, m * own_length, length) @ shared_v
    from_own = weights[..., length:] @ own_v.reshape(split)
    of_own = (from_shared + from_own.reshape(from_shared.shape)).permute(0, 3, 1, 2, 4)
    together = torch.cat([of_shared, of_own.reshape(n * m * own_length, n_heads, width)])
    return together[layout.back][None], None


AttentionInterface.register("nano_packed", _packed_attention)


def losses(network: Qwen3ForCausalLM, batch: Batch) -> dict[str, torch.Tensor]:
    """What is minimised: the divergence from the generated distributions, the loss on text, and the alignment.

    Returns
    -------
    dict of str to scalar tensor
        "answer": mean KL divergence (nats) of the next token from the soft targets, label mass included;
        "text": mean cross-entropy (nats) of verbalised answers and ends of turn;
        "language": mean cross-entropy (nats) of the questions' own text;
        "background", "question": see `_alignment`.
    """
    captured: list[torch.Tensor] = []
    last = network.model.layers[-1]

    def keep(_module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        captured.append(args[0] if args else kwargs["hidden_states"])

    hook = last.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        states = network.model(
            input_ids=batch.ids,
            attention_mask={"full_attention": batch.layout},
            position_ids=batch.positions,
            use_cache=False,
        ).last_hidden_state
    finally:
        hook.remove()
    flat = states.flatten(0, 1)
    zero = states.new_zeros(())
    result = {"answer": zero, "text": zero, "background": zero, "question": zero}
    if len(batch.answers):
        log_p = _logits(network, flat, batch.answers).log_softmax(-1)
        entropy = torch.special.entr(batch.targets).sum(1).mean()
        result["answer"] = -(batch.targets * log_p.gather(1, batch.label_ids)).sum(1).mean() - entropy
        before = captured[0].flatten(0, 1)[batch.answers].float()
        result["background"], result["question"] = _alignment(before, batch.features, batch.tasks)
    if len(batch.text):
        result["text"] = F.cross_entropy(_logits(network, flat, batch.text), batch.next_ids)
    result["language"] = F.cross_entropy(_logits(network, flat, batch.question), batch.question_ids)
    return result


def _logits(network: Qwen3ForCausalLM, states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Logits (places, vocabulary) in float32; in one of a few shapes, as in `packing`."""
    padded = F.pad(places, (0, -len(places) % 32))
    return network.lm_head(states[padded])[: len(places)].float()


def _alignment(states: torch.Tensor, features: torch.Tensor, tasks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the geometry of the states before the last block is from that of the backgrounds and the questions.

    That block is what `DSARegressor` fine-tunes: what it reads should place near backgrounds near each other, in the
    same way for every question, and keep questions apart. Inner products of states, centred within each question, are
    the covariance of a linear function of the states; those of the backgrounds' features are the covariance that it
    should have. The loss is the divergence between these two Gaussian priors over functions of the backgrounds, seen
    through noise: unlike a squared error it minds weak attributes as much as strong ones. The questions' means are
    aligned with an orthogonal frame, and get a fixed share of the states' size.
    """
    width = states.shape[1]
    scaled = states * torch.rsqrt(states.pow(2).mean(1, keepdim=True) + 1e-6)
    present, index, count = torch.unique(tasks, return_inverse=True, return_counts=True)
    members = F.one_hot(index, len(present)).to(states.dtype)  # (R, questions)
    average = members / count

    def centred(values: torch.Tensor) -> torch.Tensor:
        return values - members @ (average.T @ values)

    H, Phi = centred(scaled), centred(features)
    background = _gaussian_divergence(Phi @ Phi.T / FEATURE_SIZE, H @ H.T / (width * BACKGROUND_SHARE))
    if len(present) < 3:
        return background, states.new_zeros(())
    means = average.T @ scaled
    means = means - means.mean(0)
    frame = torch.eye(len(present)) - 1 / len(present)
    gram = means @ means.T
    unlike = 1 - (gram * frame).sum() / (gram.norm() * frame.norm()).clamp_min(1e-6)
    off = (means.pow(2).mean().clamp_min(1e-8) / QUESTION_SHARE).log().pow(2)
    return background, unlike + 0.05 * off


def _gaussian_divergence(wanted: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """KL(N(0, wanted + noise) || N(0, given + noise)) in nats per row."""
    noise = NOISE * torch.eye(len(wanted))
    left, right = torch.linalg.cholesky(wanted + noise), torch.linalg.cholesky(given + noise)
    trace = torch.linalg.solve_triangular(right, left, upper=False).pow(2).sum()
    log_ratio = 2 * (right.diagonal().log().sum() - left.diagonal().log().sum())
    return (trace - len(wanted) + log_ratio) / (2 * len(wanted))
