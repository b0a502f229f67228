"""Labels without their trimmings; how missing answers are written; options outside a scale."""

from __future__ import annotations

import re

from surveysim.tables.matching import fold_text

__all__ = ["MISSING_TEXTS", "bare", "outside_scale"]

MISSING_TEXTS = {
    "don't know": "Don't know",
    "refused": "Refused",
    "skipped": "No answer",
    "not asked": "Not applicable",
}
"""How each kind of missing answer is written into the data, so that `tabulate` recognises it."""


def bare(label: str) -> str:
    """The label without its number, brackets and closing punctuation: "9. (Refused)" is "refused"."""
    text = fold_text(re.sub(r"[´`]", "'", label))
    text = re.sub(r"^\.[a-z]: *", "", text)  # GSS: ".d: do not know"
    text = re.sub(r"[\[(](vol|volunteered|do not read|don't read|dnr)\b[^\])]*[\])]", " ", text)  # Pew
    text = " ".join(text.split())
    text = re.sub(r"^\(?-?\d+\s*[.):=\-]+\s*(?=\D)", "", text)
    text = re.sub(r"(?<=\w)\([a-z]\)$", "", text)  # GSS: "NA(n)", "DK(d)"
    text = re.sub(r"^[\[(<{*\s.:-]+|[\])>}*\s.:;,!-]+$", "", text)
    return re.sub(r"\s*/\s*", "/", text)


# "Other", "none of these" and "it depends", in the languages of large surveys.
_OUTSIDE = re.compile(
    r"(all |any |some )?others?\b.*|none of (these|the above|them)|something else|it depends|depends|"
    r"not possible to harmoni[sz]e.*|(no|not eligible to) vote|did not vote|another party|"
    r"sonstige[rs]?\b.*|andere[rs]?\b.*|autres?\b.*|otr[oa]s?\b.*|outr[oa]s?\b.*|altr[oaie]\b.*|ander[es]?\b.*|"
    r"inn[yaei]\b.*|друг(ое|ой|ая|ие)\b.*|інш(е|ий|а|і)\b.*|diğer\b.*|(شيء )?(أخرى|آخر)\b.*|سایر\b.*|अन्य.*|"
    r"অন্যান্য.*|lainnya|yang lain.*|其他.*|其它.*|その他.*|기타.*|khác\b.*|anna[nt]\b.*|andet\b.*|annet\b.*|muu\b.*|"
    r"άλλο\b.*|egyéb\b.*|jin[ýáé]\b.*|alt(ul|a|ceva)\b.*|ninguno de (estos|ellos|los anteriores)|keine[rs]? davon|"
    r"aucun de ceux-ci|nessuno di questi|nenhum destes|都不是|以上都不是|depende\b.*|kommt (darauf|drauf) an|ça dépend|"
    r"dipende|hangt ervan af|to zależy|зависит.*|залежить.*|duruma göre.*|看情况|視情況(而定)?|看情形|場合による|"
    r"경우에 따라.*|tergantung.*|det beror på"
)


def outside_scale(label: str) -> bool:
    """Whether a label names an option beside the others: "Other", "None of these", "It depends"."""
    return _OUTSIDE.fullmatch(bare(label)) is not None
