"""Scales in many languages; what only looks graded is said."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest

from surveysim.datasets import SurveyWarning, read_survey
from surveysim.datasets.scales import graded_labels, scale_scores

SCALES = {
    "es": ["Muy de acuerdo|De acuerdo|Ni de acuerdo ni en desacuerdo|En desacuerdo|Muy en desacuerdo",
           "Mucha|Algo|Poca|Ninguna", "Siempre|A menudo|A veces|Casi nunca|Nunca",
           "Muy satisfecho|Bastante satisfecho|Poco satisfecho|Nada satisfecho",
           "Ha aumentado mucho|Ha aumentado algo|Sigue igual|Ha disminuido algo|Ha disminuido mucho"],
    "pt": ["Concorda totalmente|Concorda em parte|Discorda em parte|Discorda totalmente",
           "Muito bom|Bom|Regular|Ruim|Muito ruim", "Sempre|Muitas vezes|Às vezes|Raramente|Nunca"],
    "fr": ["Tout à fait d'accord|Plutôt d'accord|Plutôt pas d'accord|Pas du tout d'accord",
           "Très satisfait|Plutôt satisfait|Plutôt insatisfait|Très insatisfait", "Toujours|Souvent|Parfois|Jamais",
           "Très important|Assez important|Peu important|Pas du tout important"],
    "de": ["Sehr zufrieden|Eher zufrieden|Teils/teils|Eher unzufrieden|Sehr unzufrieden",
           "Trifft zu|Trifft eher zu|Trifft eher nicht zu|Trifft nicht zu",
           "Stimme voll und ganz zu|Stimme eher zu|Stimme eher nicht zu|Stimme überhaupt nicht zu",
           "Täglich|Mehrmals pro Woche|Einmal im Monat|Seltener|Nie", "Sehr wichtig|Wichtig|Unwichtig|Sehr unwichtig",
           "Viel besser|Etwas besser|Gleich geblieben|Etwas schlechter|Viel schlechter"],
    "it": ["Molto|Abbastanza|Poco|Per niente", "Molto d'accordo|D'accordo|In disaccordo|Molto in disaccordo",
           "Sempre|Spesso|Qualche volta|Mai"],
    "nl": ["Helemaal mee eens|Mee eens|Niet mee eens|Helemaal niet mee eens",
           "Zeer tevreden|Tevreden|Ontevreden|Zeer ontevreden", "Altijd|Vaak|Soms|Zelden|Nooit"],
    "pl": ["Zdecydowanie tak|Raczej tak|Raczej nie|Zdecydowanie nie", "Zawsze|Często|Czasami|Rzadko|Nigdy",
           "Bardzo dobrze|Dobrze|Ani dobrze, ani źle|Źle|Bardzo źle"],
    "ru": ["Полностью согласен|Скорее согласен|Скорее не согласен|Полностью не согласен",
           "Каждый день|Раз в неделю|Раз в месяц|Никогда", "Очень хорошо|Хорошо|Средне|Плохо|Очень плохо"],
    "uk": ["Повністю довіряю|Скоріше довіряю|Скоріше не довіряю|Зовсім не довіряю",
           "Завжди|Часто|Іноді|Рідко|Ніколи"],
    "tr": ["Kesinlikle katılıyorum|Katılıyorum|Katılmıyorum|Kesinlikle katılmıyorum",
           "Her zaman|Sık sık|Bazen|Nadiren|Hiçbir zaman"],
    "ar": ["أوافق بشدة|أوافق|لا أوافق|لا أوافق بشدة", "جيد جداً|جيد|سيء|سيء جداً", "دائماً|غالباً|أحياناً|نادراً|أبداً"],
    "hi": ["पूरी तरह सहमत|कुछ हद तक सहमत|कुछ हद तक असहमत|पूरी तरह असहमत", "बहुत अच्छा|अच्छा|खराब|बहुत खराब"],
    "bn": ["সম্পূর্ণ একমত|কিছুটা একমত|কিছুটা একমত নই|সম্পূর্ণ একমত নই", "খুব ভালো|ভালো|খারাপ|খুব খারাপ"],
    "id": ["Sangat setuju|Setuju|Tidak setuju|Sangat tidak setuju", "Selalu|Sering|Kadang-kadang|Jarang|Tidak pernah",
           "Sangat puas|Cukup puas|Kurang puas|Tidak puas sama sekali"],
    "ja": ["そう思う|どちらかといえばそう思う|どちらともいえない|どちらかといえばそう思わない|そう思わない",
           "賛成|どちらかといえば賛成|どちらかといえば反対|反対", "いつも|時々|めったにない|全くない",
           "満足|まあ満足|やや不満|不満"],
    "ko": ["매우 만족|만족|보통|불만족|매우 불만족", "매우 그렇다|그렇다|보통이다|그렇지 않다|전혀 그렇지 않다",
           "항상|자주|가끔|거의 없다|전혀 없다"],
    "zh-Hans": ["非常同意|同意|说不上同意不同意|不同意|非常不同意", "非常满意|比较满意|一般|不太满意|非常不满意",
                "从不|很少|有时|经常|总是", "很好|比较好|一般|比较差|很差"],
    "zh-Hant": ["非常同意|同意|不同意|非常不同意", "非常滿意|還算滿意|不太滿意|非常不滿意"],
    "vi": ["Rất đồng ý|Đồng ý|Không đồng ý|Rất không đồng ý", "Luôn luôn|Thường xuyên|Thỉnh thoảng|Không bao giờ"],
    "fa": ["کاملاً موافق|موافق|مخالف|کاملاً مخالف", "خیلی زیاد|زیاد|تا حدودی|کم|خیلی کم"],
    "sv": ["Mycket bra förslag|Ganska bra förslag|Varken bra eller dåligt förslag|Ganska dåligt förslag|"
           "Mycket dåligt förslag"],
    "no": ["Svært fornøyd|Fornøyd|Misfornøyd|Svært misfornøyd"],
    "da": ["Helt enig|Delvis enig|Hverken enig eller uenig|Delvis uenig|Helt uenig"],
    "fi": ["Täysin samaa mieltä|Jokseenkin samaa mieltä|Jokseenkin eri mieltä|Täysin eri mieltä"],
    "el": ["Πολύ|Αρκετά|Λίγο|Καθόλου", "Συμφωνώ απόλυτα|Μάλλον συμφωνώ|Μάλλον διαφωνώ|Διαφωνώ απόλυτα"],
    "hu": ["Teljesen egyetért|Inkább egyetért|Inkább nem ért egyet|Egyáltalán nem ért egyet",
           "Soha|Ritkán|Néha|Gyakran|Mindig"],
    "cs": ["Rozhodně souhlasí|Spíše souhlasí|Spíše nesouhlasí|Rozhodně nesouhlasí"],
    "ro": ["Foarte mult|Mult|Puțin|Foarte puțin|Deloc"],
    "en": ["Increased a lot|Increased a little|Stayed the same|Decreased a little|Decreased a lot",
           "Very frequently|Frequently|Occasionally|Rarely|Never", "Never|Once a month|Once a week|Every day",
           "Much higher|Higher|About the same|Lower|Much lower",
           "A lot more|A little more|The same|A little less|A lot less",
           "Gotten much better|Gotten better|Stayed the same|Gotten worse|Gotten much worse"],
}  # fmt: skip


@pytest.mark.parametrize(("language", "labels"), [(name, line) for name, lines in SCALES.items() for line in lines])
def test_scales_are_ordinal_in_their_own_order(language, labels):
    options = labels.split("|")
    for shown in (options, options[::-1]):
        scores = scale_scores(shown)
        assert scores is not None, shown
        assert scores in (sorted(scores), sorted(scores, reverse=True)), scores
    survey = read_survey(pd.DataFrame({"q": list(range(1, len(options) + 1)) * 3}),
                         value_labels={"q": dict(enumerate(options, 1))})  # fmt: skip
    assert survey.questions["q"].ordinal
    assert survey.questions["q"].options == tuple(options)


@pytest.mark.parametrize(
    "labels",
    [
        "Partido Popular|Partido Socialista|Vox|Sumar",
        "CDU/CSU|SPD|AfD|Grüne|Die Linke",  # codespell:ignore
        "Evangelisch|Katholisch|Muslimisch|Keine Religion",
        "Norte|Sur|Este|Oeste",
        "国民党|民进党|民众党",
        "自由民主党|立憲民主党|公明党|日本維新の会",
        "Единая Россия|КПРФ|ЛДПР",
        "Soltero|Casado|Viudo|Divorciado",
        "더불어민주당|국민의힘|정의당",
    ],
)
def test_names_in_other_languages_are_no_scale(labels):
    options = labels.split("|")
    assert scale_scores(options) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        survey = read_survey(pd.DataFrame({"q": list(range(1, len(options) + 1)) * 3}),
                             value_labels={"q": dict(enumerate(options, 1))})  # fmt: skip
    assert not survey.questions["q"].ordinal


class TestSaid:
    def test_labels_that_look_graded_but_are_on_no_known_scale(self):
        options = ["Muito zorbado", "Assaz zorbado", "Meio zorbado", "Quase zorbado", "Zorbado nunca"]
        labels = {"q": dict(enumerate(options, 1))}
        table = pd.DataFrame({"q": [1, 2, 3, 4, 5] * 3})
        assert graded_labels(options, [], coded=True)
        with pytest.warns(SurveyWarning, match=r"look graded, taken as without order:\n    q: .*; ordinal={'q': True}"):
            assert not read_survey(table, value_labels=labels).questions["q"].ordinal
        assert read_survey(table, value_labels=labels, ordinal={"q": True}).questions["q"].ordinal
        assert (read_survey(table, value_labels=labels, ordinal={"q": False}).report["severity"] == "note").all()

    def test_most_labels_of_a_known_ladder(self):
        assert graded_labels(["Never", "Rarely", "Sometimes", "Often", "Zorb"], [], coded=True)
        assert not graded_labels(["Reds", "Greens", "Blues", "Whites", "Blacks"], [], coded=True)


class TestOrder:
    def test_none_comes_before_one(self):
        survey = read_survey(pd.DataFrame({"q": ["1-2", "3-4", "5 or more", "None"] * 3}))
        assert survey.questions["q"].options == ("None", "1-2", "3-4", "5 or more")
        assert survey.questions["q"].ordinal
        coded = read_survey(pd.DataFrame({"q": [1, 2, 3, 4] * 3}),
                            value_labels={"q": {1: "1-2", 2: "3-4", 3: "5 or more", 4: "None"}})  # fmt: skip
        assert coded.questions["q"].options == ("None", "1-2", "3-4", "5 or more")
        assert coded.questions["q"].codes == (4, 1, 2, 3)

    def test_pandas_orders_everything_that_stata_labels(self, tmp_path):
        table = pd.DataFrame({
            "party": pd.Categorical(["Reds", "Greens", "Blues"] * 6, ["Reds", "Greens", "Blues"]),
            "agree": pd.Categorical(["Agree", "Disagree", "Disagree"] * 6, ["Agree", "Disagree"]),
        })  # fmt: skip
        table.to_stata(tmp_path / "t.dta", write_index=False)
        frame = pd.read_stata(tmp_path / "t.dta")
        assert frame["party"].cat.ordered
        with pytest.warns(SurveyWarning, match=r"taken as unordered:\n    party: .*; ordinal={'party': True}"):
            survey = read_survey(frame)
        assert not survey.questions["party"].ordinal
        assert survey.questions["agree"].ordinal
        some = frame.assign(party=frame["party"].cat.as_unordered())
        assert read_survey(some).questions["agree"].ordinal

    def test_categories_in_alphabetical_order_are_ordered_by_their_words(self):
        categories = ["Agree", "Disagree", "Strongly agree", "Strongly disagree"]
        table = pd.DataFrame(
            {"q": pd.Categorical(categories * 3), "r": pd.Categorical(["Blues", "Greens", "Reds"] * 4)}
        )
        survey = read_survey(table)
        assert survey.questions["q"].options == ("Strongly disagree", "Disagree", "Agree", "Strongly agree")
        assert survey.questions["q"].ordinal
        assert not survey.questions["r"].ordinal
