"""Topics, questions and answer scales from which generated surveys are composed."""

# Tables of words read better wide.
# ruff: noqa: E501, SIM905

from __future__ import annotations

__all__ = ["ACTIVITIES", "CATEGORIES", "COMPARISONS", "FAMILIES", "FIRST", "NOUNS", "PLACES", "SECOND", "STATEMENTS", "TOPICS"]  # fmt: skip

# Invented names: generated surveys tie their (random) facts to these, never to anything that exists.
FIRST = """Velmar Ostrane Brelin Torvane Quillon Sarnoth Mirelle Dunvarra Halcot Pemberlin Ardeth Lorvik Cassune Wexmoor
Tamsin Ulderra Yorrick Zephane Grelda Fennick Ibarro Jallow Kestrin Nyvale Orlune Prandle Rostova Selwyn Thurlow Vantor""".split()
SECOND = """Abbarin Belcrest Corvale Dellmoor Estwick Farrowe Glenvar Harrosk Ilmere Jorvale Kellwyn Lindrath Morvane Norwell
Osmund Pellar Quenby Rudwick Stannic Tolver Umbrick Varnell Wolmar Yelden Zoltane Arvika Bosmere Culden Drevna Elstow""".split()
NOUNS = """council treaty festival museum harbour railway school hospital bank union league party court church market garden
bridge factory forest river theatre newspaper academy stadium airport library police parliament company programme""".split()

TOPICS = """the national government|the economy|public schools|the police|the courts|health care|climate change|immigration|
the news media|newspapers|television|science and scientists|doctors and nurses|vaccines|artificial intelligence|new technology|
large corporations|small businesses|banks|trade unions|the armed forces|religious leaders|churches|the president|congress|parliament|
the supreme court|local politicians|political parties|elections|voting|democracy|taxes|government spending|the budget deficit|pensions|
social security|unemployment benefits|housing costs|rents|food prices|inflation|jobs|wages|public transport|roads and bridges|electric cars|
nuclear power|solar energy|oil and gas|air pollution|drinking water|wildlife|national parks|farming|organic food|meat|alcohol|tobacco|sports|
music|art and culture|museums|libraries|universities|student loans|child care|marriage|divorce|family life|raising children|your marriage|
your job|your health|your neighborhood|your home|your income|your friends|your free time|crime|gun control|the death penalty|prisons|drugs|
abortion|same-sex couples|gender equality|women's rights|racial equality|civil rights|free speech|privacy|social media|the internet|smartphones|
online shopping|self-driving cars|robots|space travel|genetic engineering|foreign aid|the United Nations|the European Union|NATO|free trade|
war and peace|terrorism|refugees|border security|globalization|your country|the American flag|military service|jury duty|the census|patriotism|
protests|strikes|volunteering|charities|poverty|the welfare state|inequality|the middle class|older people|young people|disabled people|minorities|
traditions|religion|prayer|the Bible|honesty|hard work|respect for others|trust between people|the future|the next generation|your finances|
insurance companies|the postal service|the tax office|city hall|the mayor|judges|lawyers|teachers|journalists|engineers|scientists|celebrities|
influencers|chatbots|data collection|surveillance|energy prices|recycling|plastic waste|flooding|wildfires|hurricanes|the weather|tourism|
air travel|trains|bicycles|parking|noise|dogs and cats|gardening|cooking|reading books|films|video games|fashion|exercise|sleep|stress|mental health|
the health system|medicine|hospitals|nurses|hygiene|pandemics|masks|working from home|overtime|retirement|savings|the stock market|cryptocurrency|
gold|property|land|water supply|electricity|fishing|forests|mining|trade|tariffs|sanctions|spies|diplomacy|monarchy|the constitution|federal agencies|
state government|referendums|campaign donations|lobbyists|corruption|fraud|fake news|conspiracy theories|history|memorials|statues|holidays|
language lessons|grammar|mathematics|physics|astronomy|evolution|animals in research|zoos|circuses|hunting|fireworks|lotteries|gambling""".replace("\n", "").split("|")  # fmt: skip

ACTIVITIES = """vote in elections|follow the news|read a newspaper|talk about politics|attend religious services|pray|volunteer|give to charity|
sign a petition|join a protest|contact a politician|use social media|shop online|recycle|ride a bicycle|take the train|drive a car|travel abroad|
eat meat|cook at home|drink alcohol|smoke|exercise|see a doctor|get vaccinated|wear a mask|wash your hands|visit your parents|meet friends|
help a neighbor|argue with your spouse|read books|listen to music|go to the cinema|visit a museum|play video games|watch television|use a chatbot|
work overtime|work from home|save money|borrow money|buy stocks|play the lottery|go hunting|go fishing|walk in the woods|sleep badly|feel lonely|
feel happy|worry about money|check your phone|write letters|speak in public|serve on a jury|display the flag|fill in the census|move to another city|
learn a language|change your job|start a business|feel proud|lose your temper|tell a lie|keep a promise|trust a stranger""".replace("\n", "").split("|")  # fmt: skip

# {t}: a topic. The sign says whether agreeing speaks for it.
STATEMENTS: list[tuple[str, int]] = [
    ("{T} is good for the country.", 1), ("We need more of it: {t}.", 1), ("{T} makes life better.", 1), ("I can rely on {t}.", 1),
    ("I feel positive about {t}.", 1), ("{T} deserves more money.", 1), ("Most problems with {t} will be solved.", 1), ("I am proud of {t}.", 1),
    ("{T} matters to people like me.", 1), ("More should be done for {t}.", 1), ("I would recommend {t} to a friend.", 1), ("{T} works well.", 1),
    ("{T} is a threat.", -1), ("{T} does more harm than good.", -1), ("We would be better off without {t}.", -1), ("{T} worries me.", -1),
    ("There is too much talk about {t}.", -1), ("{T} cannot be trusted.", -1), ("I am tired of {t}.", -1), ("{T} costs too much.", -1),
    ("Nobody cares about {t}.", -1), ("{T} has become worse.", -1), ("{T} should be abolished.", -1), ("{T} is unfair to people like me.", -1),
]  # fmt: skip

# Families of questions: stems with {t} (topic) or {a} (activity), and scales from the answer most in favour to the least.
# The sign says whether the first answer speaks for the topic.
FAMILIES: list[tuple[str, list[str], list[list[str]], int]] = [
    ("agree", ["Do you agree or disagree? {s}", "How much do you agree with this statement: {s}", "{s}", "To what extent do you agree or disagree: {s}"], [
        ["Strongly agree", "Agree", "Neither agree nor disagree", "Disagree", "Strongly disagree"], ["Strongly agree", "Somewhat agree", "Somewhat disagree", "Strongly disagree"],
        ["Agree", "Neutral", "Disagree"], ["Agree", "Disagree"], ["Completely agree", "Mostly agree", "Mostly disagree", "Completely disagree"],
        ["Strongly agree", "Agree", "Slightly agree", "Neither", "Slightly disagree", "Disagree", "Strongly disagree"], ["Yes", "No"]], 1),
    ("importance", ["How important is {t} to you?", "In your view, how important is the following: {t}", "How important do you think {t} is for the country?", "How important is it to you to {a}?"], [
        ["Very important", "Somewhat important", "Not so important", "Not at all important"], ["Extremely important", "Very important", "Moderately important", "Slightly important", "Not important"],
        ["Very important", "Fairly important", "Not very important", "Not important at all"], ["Important", "Not important"]], 1),
    ("trust", ["How much do you trust {t}?", "How much confidence do you have in {t}?", "Please tell me how much trust you have in {t}.", "Would you say you trust {t}?"], [
        ["A great deal", "Some", "Not much", "None at all"], ["A lot", "A little", "Not at all"], ["Completely", "Mostly", "Somewhat", "Hardly", "Not at all"],
        ["A great deal", "Quite a lot", "Not very much", "None at all"], ["Full trust", "Trust", "Distrust", "Full distrust"], ["Tend to trust", "Tend not to trust"]], 1),
    ("frequency", ["How often do you {a}?", "How frequently do you {a}?", "In a typical month, how often do you {a}?", "How often do you think about {t}?"], [
        ["Always", "Often", "Sometimes", "Rarely", "Never"], ["Every day", "A few times a week", "Once a week", "Less often", "Never"], ["Often", "Sometimes", "Never"],
        ["Daily", "Weekly", "Monthly", "Yearly", "Never"], ["Almost always", "Often", "Seldom", "Almost never"], ["7 days a week", "3-6 days", "1-2 days", "No days"]], 1),
    ("satisfaction", ["How satisfied are you with {t}?", "All in all, how satisfied or dissatisfied are you with {t}?", "Are you happy with {t}?", "How do you feel about {t}?"], [
        ["Very satisfied", "Satisfied", "Neither", "Dissatisfied", "Very dissatisfied"], ["Very satisfied", "Fairly satisfied", "Not very satisfied", "Not at all satisfied"],
        ["Very happy", "Pretty happy", "Not too happy"], ["Delighted", "Pleased", "Mixed", "Unhappy", "Terrible"], ["Extremely satisfied", "Somewhat satisfied", "Somewhat dissatisfied", "Extremely dissatisfied"]], 1),
    ("rating", ["How would you rate {t}?", "How do you rate {t}?", "What do you think of the quality of {t}?", "How good or bad is {t} these days?"], [
        ["Excellent", "Good", "Only fair", "Poor"], ["Very good", "Good", "Fair", "Poor", "Very poor"], ["Very good", "Fairly good", "Fairly bad", "Very bad"],
        ["Outstanding", "Above average", "Average", "Below average"], ["Good", "Neither good nor bad", "Bad"]], 1),
    ("favour", ["Do you have a favorable or unfavorable opinion of {t}?", "Is your view of {t} favourable or unfavourable?", "What is your opinion of {t}?"], [
        ["Very favorable", "Somewhat favorable", "Somewhat unfavorable", "Very unfavorable"], ["Favorable", "Unfavorable"], ["Very positive", "Positive", "Neutral", "Negative", "Very negative"],
        ["Mostly favorable", "Neither", "Mostly unfavorable"]], 1),
    ("support", ["Do you support or oppose {t}?", "Would you support a law in favour of {t}?", "Do you favor or oppose more money for {t}?"], [
        ["Strongly support", "Somewhat support", "Somewhat oppose", "Strongly oppose"], ["Support", "Oppose"], ["Strongly favor", "Favor", "Oppose", "Strongly oppose"],
        ["Strongly support", "Support", "Neither support nor oppose", "Oppose", "Strongly oppose"]], 1),
    ("approve", ["Do you approve or disapprove of {t}?", "Do you approve of the way {t} is handled?"], [
        ["Strongly approve", "Somewhat approve", "Somewhat disapprove", "Strongly disapprove"], ["Approve", "Disapprove"], ["Approve", "Neither", "Disapprove"]], 1),
    ("likely", ["How likely are you to {a}?", "How likely is it that you will {a} within a year?", "What are the chances that {t} will improve?", "How likely is it that {t} will still matter in ten years?"], [
        ["Very likely", "Somewhat likely", "Not very likely", "Not at all likely"], ["Extremely likely", "Likely", "Unlikely", "Extremely unlikely"], ["Certain", "Probable", "Possible", "Impossible"],
        ["Definitely", "Probably", "Probably not", "Definitely not"]], 1),
    ("interest", ["How interested are you in {t}?", "How closely do you follow {t}?", "How much attention do you pay to {t}?"], [
        ["Very interested", "Somewhat interested", "Not very interested", "Not at all interested"], ["Very closely", "Fairly closely", "Not too closely", "Not at all closely"],
        ["A lot", "Some", "A little", "None"], ["A great deal", "Quite a bit", "Some", "Very little", "None"]], 1),
    ("worry", ["How worried are you about {t}?", "How concerned are you about {t}?", "Does {t} worry you?", "How big a problem is {t}?"], [
        ["Very worried", "Somewhat worried", "Not too worried", "Not at all worried"], ["Extremely concerned", "Very concerned", "Moderately concerned", "Slightly concerned", "Not concerned"],
        ["A very big problem", "A moderately big problem", "A small problem", "Not a problem at all"], ["A lot", "A little", "Not at all"]], -1),
    ("change", ["Compared with a year ago, is {t} better or worse?", "Will {t} get better or worse?", "How has {t} changed for you?"], [
        ["Much better", "Somewhat better", "About the same", "Somewhat worse", "Much worse"], ["Better", "Same", "Worse"], ["Improved a lot", "Improved", "No change", "Declined", "Declined a lot"]], 1),
    ("ease", ["How easy is it for you to {a}?", "How easy or difficult is it to {a}?", "How easy would it be to change {t}?"], [
        ["Very easy", "Somewhat easy", "Somewhat difficult", "Very difficult"], ["Easy", "Neither easy nor difficult", "Difficult"]], 1),
    ("amount", ["Do we spend too much or too little on {t}?", "Is there too much, about the right amount or too little of {t}?"], [
        ["Far too little", "Too little", "About right", "Too much", "Far too much"], ["Too little", "About the right amount", "Too much"]], 1),
    ("describe", ["How well does this describe you? I {a}.", "How much does {t} affect your life?", "How much do you like {t}?", "How comfortable are you with {t}?"], [
        ["Extremely well", "Very well", "Somewhat well", "Not very well", "Not at all"], ["Very much like me", "Like me", "A little like me", "Not like me", "Not like me at all"],
        ["A great deal", "A fair amount", "Not much", "Not at all"], ["Very comfortable", "Somewhat comfortable", "Not too comfortable", "Not comfortable at all"]], 1),
    ("number", ["On a scale where the ends mean the least and the most, how much do you like {t}?", "Where would you place {t}, from best to worst?", "Give {t} a grade."], [
        ["10", "9", "8", "7", "6", "5", "4", "3", "2", "1", "0"], ["7", "6", "5", "4", "3", "2", "1"], ["5", "4", "3", "2", "1"], ["4", "3", "2", "1"],
        ["5 best", "4", "3", "2", "1 worst"], ["10 - completely", "8", "6", "4", "2", "0 - not at all"]], 1),
    ("yesno", ["Do you like {t}?", "Do you {a}?", "Have you thought about {t} this week?", "Should {t} be protected?", "Would you say that {t} is doing well?"], [
        ["Yes", "No"], ["Yes, definitely", "Yes, somewhat", "No"], ["Yes", "Maybe", "No"], ["Definitely yes", "Probably yes", "Probably no", "Definitely no"]], 1),
]  # fmt: skip

# Nominal questions: stems and sets of answers.
CATEGORIES: list[tuple[list[str], list[str]]] = [
    (["Which of these is your favorite?", "Which color do you like best?"], ["Red", "Blue", "Green", "Yellow", "White", "Black", "Purple", "Orange"]),
    (["Where do you get most of your news?", "Which source do you trust most?"], ["Television", "Radio", "Newspapers", "Social media", "Friends and family", "Websites", "Podcasts"]),
    (["Which issue matters most to you?", "What is the most important problem today?"], ["Jobs", "Health care", "Education", "Crime", "Climate", "Immigration", "Housing", "Taxes", "Foreign policy"]),
    (["How do you usually get to work?", "Which means of transport do you prefer?"], ["Car", "Bus", "Train", "Bicycle", "On foot", "Motorcycle", "Ferry"]),
    (["Which drink do you prefer?", "What do you drink in the morning?"], ["Coffee", "Tea", "Water", "Juice", "Milk", "Cocoa"]),
    (["Which party would you vote for?", "Which party do you feel closest to?"], ["The Harbour Party", "The Lantern Party", "The Meadow Party", "The Anchor Party", "The Mill Party"]),
    (["Which kind of music do you like best?", "What do you listen to most?"], ["Pop", "Rock", "Jazz", "Classical", "Country", "Hip hop", "Folk", "Electronic"]),
    (["What is the main reason?", "Why did you decide this way?"], ["The cost", "Lack of time", "Too far away", "Not interested", "Health reasons", "Family reasons", "Did not know about it"]),
    (["Who should decide?", "Who is most to blame?", "Who should pay for it?"], ["The government", "Companies", "Citizens", "Courts", "Experts", "Local councils", "Nobody"]),
    (["Where would you like to live?", "Which place suits you best?"], ["By the sea", "In the mountains", "In a big city", "In a village", "In the woods", "Abroad"]),
    (["Which season do you like most?", "When do you travel?"], ["Spring", "Summer", "Autumn", "Winter"]),
    (["What would you do first?", "How would you react?"], ["Call a friend", "Wait", "Search online", "Ask an expert", "Complain", "Do nothing"]),
    (["Which pet would you choose?", "Which animal do you like?"], ["Dog", "Cat", "Bird", "Fish", "Horse", "Rabbit", "None"]),
    (["Which comes closest to your view?", "Which statement do you prefer?"], ["Less change", "More change", "No opinion yet", "Things are fine"]),
]  # fmt: skip

PLACES = """the North|the coast|Norland|Westmark|the islands|the capital|Arvenia|Ostland|the valley|Merrow County|Port Hale""".split(
    "|"
)

# How a sentence names the upper and the lower end of an ordered attribute.
COMPARISONS: dict[str, tuple[str, str]] = {
    "age": ("Older people", "Younger people"), "education": ("The better educated", "The less educated"), "income": ("People with higher incomes", "People with lower incomes"),
    "religiosity": ("More religious people", "Less religious people"), "attendance": ("Frequent churchgoers", "People who rarely attend services"),
    "interest": ("People interested in politics", "People with little interest in politics"), "ideology": ("People on the right", "People on the left"),
    "health": ("People in good health", "People in bad health"), "urbanicity": ("People in cities", "People in the countryside"), "children": ("People with more children", "People with fewer children"),
    "years_married": ("People married for long", "People married for a short time"), "occupation": ("People in higher occupations", "People in lower occupations"),
    "trust": ("Trusting people", "Distrustful people"), "news": ("People who follow the news", "People who avoid the news"), "internet": ("Heavy internet users", "People who are seldom online"),
    "household": ("People in large households", "People in small households"), "class": ("The upper classes", "The lower classes"), "satisfaction": ("Satisfied people", "Dissatisfied people"),
    "concern": ("Concerned people", "Unconcerned people"), "knowledge": ("Knowledgeable people", "People who know little"), "tenure": ("Long-time residents", "Newcomers"),
}  # fmt: skip
