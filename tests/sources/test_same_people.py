"""Tables of the same respondents are recognised however they were made; those of others never are."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from surveysim import FusedRegressor, Question, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.cells import FitCells
from surveysim.datasets import make_next_wave, make_survey
from surveysim.sources import Wave, same_respondents

YES_NO = Question("Do you trust the police?", ["no", "yes"])


@pytest.fixture(scope="module")
def survey():
    return make_survey(1200, n_backgrounds=3, n_levels=[4, 3, 2], n_questions=3, random_state=0)


@pytest.fixture(scope="module")
def fresh(survey):
    """The respondents of the fit: the first 300."""
    return survey.subset(np.arange(300))


def as_fit_cells(cells):
    frame = cells.X[cells.backgrounds].reset_index(drop=True)
    index = pd.Index(list(cells.questions)).get_indexer(cells.question_names)
    return FitCells(frame, index, dict(cells.questions), cells.Y, cells.n, np.arange(len(cells)))


def percents(cells, decimals=0):
    frame = cells.to_frame()
    return frame.assign(share=(100 * frame["share"]).round(decimals))


def levels_of(survey, attribute):
    return survey.data[attribute].astype(str)


SAME = {
    "the cells themselves": lambda s: Wave(s.tabulate()),
    "in another order": lambda s: Wave(reordered(s.tabulate())),
    "half of them": lambda s: Wave(s.subset(np.arange(0, len(s.data), 2)).tabulate()),
    "all but a few": lambda s: Wave(s.subset(np.arange(285)).tabulate()),
    "one group of them": lambda s: Wave(s.subset(of_one_level(s)).tabulate()),
    "one question of them": lambda s: Wave(s.tabulate(None, ["q2"])),
    "by one attribute": lambda s: Wave(s.tabulate([s.backgrounds[0]])),
    "by each attribute": lambda s: Wave([s.tabulate([name]) for name in s.backgrounds]),
    "whole percents": lambda s: Wave(percents(s.tabulate([s.backgrounds[0]]))),
    "tenths of percents": lambda s: Wave(percents(s.tabulate([s.backgrounds[0]]), 1)),
    "n in thousands of people": lambda s: Wave(s.tabulate().to_frame().assign(n=lambda f: 1000.0 * f["n"])),
    "weights on another scale": lambda s: Wave(weighted(s, 7.3)),
    "over a design effect": lambda s: Wave(s.tabulate(deff=1.4)),
    "columns renamed": lambda s: Wave(renamed(s), attributes={"sex": s.backgrounds[0]}),
    "columns renamed and not said so": lambda s: Wave(renamed(s)),
    "smoothed": lambda s: smoothed(s),
}


def reordered(cells):
    place = np.random.default_rng(0).permutation(len(cells))
    return SimpleNamespace(X=cells.X.iloc[place], Y=cells.Y[place], n=cells.n[place], questions=cells.questions)


def of_one_level(survey):
    values = levels_of(survey, survey.backgrounds[0])
    return np.flatnonzero(values == values.iloc[0])


def weighted(survey, factor):
    data = survey.data.assign(w=factor)
    return tabulate(data, survey.backgrounds, survey.questions, weights="w")


def renamed(survey):
    first, *others = survey.backgrounds
    return tabulate(survey.data.rename(columns={first: "sex"}), ["sex", *others], survey.questions)


def smoothed(survey):
    cells = survey.tabulate()
    return Wave(cells, estimator=LogitRegressor(question=survey.questions).fit(cells.X, cells.Y, cells.n))


def quietly(wave, cells):
    with warnings.catch_warnings():  # of what does not match
        warnings.simplefilter("ignore", UserWarning)
        return wave.has_respondents_of(cells)


@pytest.mark.parametrize("how", SAME)
def test_the_respondents_of_fit_are_recognised(fresh, how):
    assert quietly(SAME[how](fresh), as_fit_cells(fresh.tabulate()))


def test_they_are_recognised_among_as_many_others(survey, fresh):
    both = Wave(survey.subset(np.arange(600)).tabulate())
    assert quietly(both, as_fit_cells(fresh.tabulate()))


def test_weighted_respondents_are_recognised_cell_by_cell():
    survey = make_survey(400, n_backgrounds=2, n_levels=[4, 3], n_questions=4, weighted=True, random_state=3)
    cells = as_fit_cells(survey.tabulate())
    assert quietly(Wave(survey.tabulate()), cells)
    assert quietly(SAME["one group of them"](survey), cells)
    other = make_survey(400, n_backgrounds=2, n_levels=[4, 3], n_questions=4, weighted=True, random_state=4)
    assert not quietly(Wave(other.tabulate()), cells)


@pytest.mark.parametrize("sizes", [(300, 300), (300, 900), (40, 900), (900, 40)])
@pytest.mark.parametrize("how", ["the cells themselves", "by each attribute", "whole percents"])
def test_other_people_of_the_same_population_are_others(survey, sizes, how):
    """Opinions have not moved at all between them."""
    n_fit, n_wave = sizes
    fresh = survey.subset(np.arange(n_fit))
    other = survey.subset(np.arange(1200 - n_wave, 1200))
    assert n_fit + n_wave <= 1200
    assert not quietly(SAME[how](other), as_fit_cells(fresh.tabulate()))


def test_others_are_refused_in_less_than_one_of_a_hundred_samples():
    refused = 0
    for seed in range(25):
        survey = make_survey(700, n_backgrounds=2, n_levels=[3, 2], n_questions=6, random_state=seed)
        parts = [survey.subset(np.arange(*ends)) for ends in ((0, 60), (60, 130), (130, 700))]
        cells = as_fit_cells(parts[0].tabulate())
        for other in parts[1:]:
            refused += quietly(Wave(other.tabulate()), cells)
            refused += quietly(Wave([other.tabulate([name]) for name in other.backgrounds]), cells)
    assert refused == 0


def test_one_cell_may_be_equal_by_accident(survey):
    first, second = survey.subset(np.arange(300)).tabulate(), survey.subset(np.arange(300, 600)).tabulate()
    row = int(np.argmax(first.n))
    same = int(np.flatnonzero(second.X.eq(first.X.iloc[row]).all(axis=1))[0])
    Y, n = second.Y.copy(), second.n.copy()
    Y[same], n[same] = first.Y[row], first.n[row]
    shared = SimpleNamespace(X=second.X, Y=Y, n=n, questions=second.questions)
    assert not quietly(Wave(shared), as_fit_cells(first))


def test_one_printed_total_may_be_equal_by_accident():
    """42 and 58 percent of 1,000 and 800 people."""
    survey = pd.DataFrame({"sex": ["f"] * 500 + ["m"] * 500, "trust": ([1] * 21 + [2] * 29) * 20})
    cells = as_fit_cells(tabulate(survey, ["sex"], {"trust": YES_NO}))
    assert not quietly(Wave(pd.DataFrame({"question": "trust", "no": [42], "yes": [58], "n": [800]})), cells)


def test_quotas_are_equal_by_design(survey):
    """As many respondents in each cell of both waves, as quota samples have."""
    cells = survey.tabulate()
    generator = np.random.default_rng(1)
    draws = []
    for _ in range(2):
        Y = np.full_like(cells.Y, np.nan)
        for row, shares in enumerate(cells.Y):
            told = ~np.isnan(shares)
            Y[row, told] = generator.multinomial(20, shares[told]) / 20
        draws.append(replace(cells, Y=Y, n=np.full(len(cells), 20.0)))
    assert not quietly(Wave(draws[0]), as_fit_cells(draws[1]))
    assert quietly(Wave(draws[0]), as_fit_cells(draws[0]))


def test_exact_shares_of_a_census_say_nothing(survey):
    """Two tables of millions whose opinions did not move agree to the last printed digit, and are no sign."""
    cells = survey.tabulate()
    counted = [replace(cells, n=np.full(len(cells), size)) for size in (3.1e6, 2.7e6)]
    backgrounds = cells.X[cells.backgrounds]
    evidence = [Wave(percents(one)).evidence(survey.questions, backgrounds) for one in counted]
    assert not same_respondents(*evidence)


# --- in a fusion ------------------------------------------------------------------------------------------------------


def fuse(sources, survey):
    cells = survey.tabulate()
    with warnings.catch_warnings():  # of what does not match
        warnings.simplefilter("ignore", UserWarning)
        return FusedRegressor(sources, question=survey.questions).fit(cells.X, cells.Y, cells.n)


@pytest.mark.parametrize("how", ["smoothed", "whole percents", "one group of them", "half of them"])
def test_a_fusion_refuses_its_own_respondents(fresh, how):
    with pytest.raises(ValueError, match=r"source 'wave' holds the respondents of fit themselves, or some of them"):
        fuse({"wave": SAME[how](fresh)}, fresh)


@pytest.mark.parametrize("how", ["smoothed", "whole percents", "one group of them", "by each attribute"])
def test_a_fusion_refuses_two_sources_of_the_same_people(survey, fresh, how):
    other = survey.subset(np.arange(300, 1200))
    with pytest.raises(ValueError, match=r"sources 'a' and 'b' hold the same respondents, or some of them"):
        fuse({"a": Wave(other.tabulate()), "b": SAME[how](other)}, fresh)


def test_a_fusion_takes_waves_of_a_survey_that_did_not_move(survey, fresh):
    still = make_next_wave(survey, 500, drift=0.0, shift_drift=0.0, random_state=5)
    model = fuse({"a": Wave(still.tabulate()), "b": smoothed(survey.subset(np.arange(300, 1200)))}, fresh)
    assert model.sources_["alone"].min() > 0
