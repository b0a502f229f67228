"""Questions and backgrounds as text: templates, orders of options, and the labels that stand for options."""

from surveysim.prompts.labels import LABEL_ALPHABETS, candidate_labels
from surveysim.prompts.orders import option_orders
from surveysim.prompts.render import (
    Example,
    Prompt,
    describe_background,
    render,
    whole_percentages,
)
from surveysim.prompts.templates import Template, get_template, template_names

__all__ = [
    "LABEL_ALPHABETS",
    "Example",
    "Prompt",
    "Template",
    "candidate_labels",
    "describe_background",
    "get_template",
    "option_orders",
    "render",
    "template_names",
    "whole_percentages",
]
