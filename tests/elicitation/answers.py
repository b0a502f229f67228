"""Forty answers in free text, written by hand, with the option that each of them means."""

from __future__ import annotations

from surveysim import Question

ANSWERS: dict[str, tuple[Question, list[tuple[str, int]]]] = {
    "buy": (
        Question(
            "How likely are you to buy this product?",
            ["definitely not", "probably not", "might or might not", "probably", "definitely"],
        ),
        [
            ("I would never spend money on that.", 0),
            ("No chance, it is useless to me.", 0),
            ("I doubt that I would buy it, too expensive.", 1),
            ("Probably not, I already have something similar.", 1),
            ("I'm not sure, it depends on the price.", 2),
            ("Maybe, I could go either way.", 2),
            ("It looks useful, I would likely give it a try.", 3),
            ("I think I'd pick it up next time.", 3),
            ("Absolutely, I want it right now!", 4),
            ("Yes, I will certainly buy it.", 4),
        ],
    ),
    "climate": (
        Question(
            "The government should do more about climate change.",
            ["strongly disagree", "disagree", "neither agree nor disagree", "agree", "strongly agree"],
        ),
        [
            ("That is complete nonsense, they should stay out of it.", 0),
            ("I am totally against any more climate policy.", 0),
            ("I don't think more action is needed.", 1),
            ("Not really, they already do enough.", 1),
            ("I have no opinion on that.", 2),
            ("Hard to say, there are good points on both sides.", 2),
            ("I think they should do somewhat more.", 3),
            ("Yes, some more effort would be good.", 3),
            ("They must act immediately, it is the most urgent problem we have!", 4),
            ("I am completely in favour, far more has to be done.", 4),
        ],
    ),
    "marriage": (
        Question("How do you rate your marriage?", ["very poor", "poor", "fair", "good", "very good"]),
        [
            ("It is a disaster, we are getting divorced.", 0),
            ("I am deeply unhappy, it could not be worse.", 0),
            ("We fight a lot and I am not happy.", 1),
            ("It is rather disappointing.", 1),
            ("It's okay, neither great nor terrible.", 2),
            ("So so, some days are fine.", 2),
            ("We are happy together most of the time.", 3),
            ("Pretty nice, I like being with him.", 3),
            ("Wonderful, I could not wish for a better husband.", 4),
            ("It is the best thing in my life.", 4),
        ],
    ),
    "problem": (
        Question(
            "What is the most important problem facing the country?",
            ["the economy", "health care", "immigration", "crime", "the environment"],
            ordinal=False,
        ),
        [
            ("Prices keep rising and wages do not.", 0),
            ("Jobs, jobs, jobs.", 0),
            ("Nobody can pay hospital bills any more.", 1),
            ("Medicine is unaffordable.", 1),
            ("Too many people cross the border.", 2),
            ("We need to take in fewer refugees.", 2),
            ("I don't feel safe on the streets at night.", 3),
            ("Shootings and burglaries.", 3),
            ("Pollution and the warming of the planet.", 4),
            ("The forests are dying.", 4),
        ],
    ),
}
