"""How far predicted distributions are from the truth: metrics, skill, and scorers for scikit-learn."""

from surveysim.metrics.divergences import (
    cross_entropy,
    js_distance,
    js_divergence,
    kl_divergence,
    rmse,
    total_variation,
)
from surveysim.metrics.ordinal import opinion_alignment, option_values, wasserstein
from surveysim.metrics.scorers import (
    get_scorer,
    neg_cross_entropy_scorer,
    neg_js_distance_scorer,
    neg_js_divergence_scorer,
    neg_kl_divergence_scorer,
    neg_rmse_scorer,
    neg_total_variation_scorer,
    neg_wasserstein_scorer,
    opinion_alignment_scorer,
    scorer_names,
)
from surveysim.metrics.skill import skill

__all__ = [
    "cross_entropy",
    "get_scorer",
    "js_distance",
    "js_divergence",
    "kl_divergence",
    "neg_cross_entropy_scorer",
    "neg_js_distance_scorer",
    "neg_js_divergence_scorer",
    "neg_kl_divergence_scorer",
    "neg_rmse_scorer",
    "neg_total_variation_scorer",
    "neg_wasserstein_scorer",
    "opinion_alignment",
    "opinion_alignment_scorer",
    "option_values",
    "rmse",
    "scorer_names",
    "skill",
    "total_variation",
    "wasserstein",
]
