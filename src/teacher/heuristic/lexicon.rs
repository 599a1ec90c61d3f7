//! The few words whose meaning the heuristic knows: function words, question words, and verbs whose forms do not share a stem.
//!
//! Everything else about a word is learnt from how often it occurs in what was read.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::asked::Kind;
use super::question::Language;

/// English words that say nothing about a subject.
static FUNCTION_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let words = "a about after all also am among an and any are as at be because been before being between both but by can could d despite did \
        do does doing done during e each for from g give had has have having he her hers him his how i if ii in into is it its itself \
        ll m many may me might more most much must my nor not of off on one only or other our out over own please re s same shall she \
        should so some such t tell than that the their them themselves then there these they this those through to too under until up \
        upon us ve very was we were what when where whether which while who whom whose why will with within without would you your";
    words.split(' ').collect()
});

/// Adverbs, prepositions and plain verbs that end a noun phrase, beyond the function words.
static BREAK_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let words = "above according across against almost along already although amongst another approximately around based became become \
        becoming began begins behind below beyond called came caused currently early either especially even eventually ever every few \
        finally first followed former found further gave generally held however include included includes including initially instead \
        just known late later latter least led less like made mainly make makes moreover named near nearly neither never now often \
        once onto originally particularly per primarily rather respectively said saw several show showed shows similar since still \
        subsequently take takes therefore though throughout thus today together took toward towards typically unlike used uses using \
        usually various via went whereas won wrote yet";
    words.split(' ').collect()
});

/// Words of questions that a page need not repeat.
static WEAK_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let words = "another became become call called consider considered describe described example exist get got kind known like mean name \
        named names number part people person place refer referred say something sort take term thing time type use used word year \
        years";
    words.split(' ').collect()
});

/// Whether `word`, in lower case, says nothing about a subject.
pub(super) fn is_function_word(word: &str) -> bool {
    FUNCTION_WORDS.contains(word)
}

/// Whether `word`, in lower case, cannot be part of a noun phrase.
pub(super) fn is_break_word(word: &str) -> bool {
    is_function_word(word) || BREAK_WORDS.contains(word)
}

/// Whether `word`, in lower case, is one that a question uses without its page needing it.
pub(super) fn is_weak(word: &str) -> bool {
    WEAK_WORDS.contains(word)
}

/// Forms of one word that do not share a stem.
const FAMILIES: [&[&str]; 42] = [
    &["begin", "began", "begun", "start", "started"],
    &["write", "wrote", "written", "author"],
    &["win", "won", "winner"],
    &["build", "built"],
    &["make", "made"],
    &["hold", "held"],
    &["lead", "led", "leader"],
    &["take", "took", "taken"],
    &["give", "gave", "given"],
    &["die", "died", "death", "dead"],
    &["born", "birth"],
    &["become", "became"],
    &["grow", "grew", "grown", "growth"],
    &["choose", "chose", "chosen"],
    &["fight", "fought"],
    &["find", "found"],
    &["teach", "taught"],
    &["think", "thought"],
    &["buy", "bought"],
    &["sell", "sold", "sale"],
    &["speak", "spoke", "spoken"],
    &["know", "knew", "known"],
    &["fall", "fell", "fallen"],
    &["rise", "rose", "risen"],
    &["send", "sent"],
    &["spend", "spent"],
    &["lose", "lost", "loss"],
    &["leave", "left"],
    &["run", "ran"],
    &["sing", "sang", "sung", "singer", "song"],
    &["draw", "drew", "drawn"],
    &["see", "saw", "seen"],
    &["meet", "met"],
    &["marry", "married", "wife", "husband", "spouse"],
    &["man", "men"],
    &["woman", "women"],
    &["child", "children"],
    &["live", "life", "lived"],
    &["movie", "film"],
    &["high", "height"],
    &["long", "length"],
    &["France", "French"],
];

/// The other forms of `word`, which is in lower case.
pub(super) fn family(word: &str) -> &'static [&'static str] {
    FAMILIES.iter().find(|family| family.contains(&word)).copied().unwrap_or_default()
}

/// What a word that stands behind "what", "which" or "how" says about the answer.
pub(super) fn kind_of_focus(word: &str) -> Option<Kind> {
    Some(match word {
        "year" | "years" | "date" | "day" | "month" | "century" | "decade" | "era" => Kind::Date,
        "many" | "much" | "old" | "tall" | "far" | "large" | "big" | "high" | "deep" | "fast" | "heavy" | "percent" | "percentage"
        | "number" | "amount" | "population" | "age" | "height" | "length" | "price" | "cost" | "distance" | "temperature" | "speed"
        | "weight" | "revenue" | "salary" | "income" | "limit" | "ratio" | "frequency" | "often" | "long" | "wide" | "fraction"
        | "proportion" => Kind::Number,
        "country" | "city" | "state" | "town" | "county" | "province" | "continent" | "region" | "nation" | "nationality" | "village"
        | "location" | "island" | "capital" | "birthplace" => Kind::Place,
        "person" | "man" | "woman" | "actor" | "actress" | "president" | "king" | "queen" | "author" | "director" | "singer" | "player"
        | "leader" | "pope" | "emperor" | "writer" | "artist" | "scientist" | "composer" | "philosopher" => Kind::Person,
        _ => return None,
    })
}

/// Question words of alphabets, with what they ask for. "How" and its like depend on the next word and are not here.
pub(super) fn kind_of_question_word(word: &str, language: Language) -> Option<Kind> {
    let kind = match word {
        "who" | "whom" | "whose" => Kind::Person,
        "when" => Kind::Date,
        "where" => Kind::Place,
        "why" => Kind::Explanation,
        "what" | "which" => Kind::Thing,
        // Some of these are other words in English.
        _ if language == Language::English => return None,
        "quién" | "quiénes" | "wer" | "wem" | "qui" | "кто" | "cine" | "ποιος" => Kind::Person,
        "cuándo" | "wann" | "quand" | "когда" | "când" | "πότε" => Kind::Date,
        "dónde" | "wo" | "où" | "где" | "unde" | "πού" => Kind::Place,
        "cuánto" | "cuánta" | "cuántos" | "cuántas" | "wieviel" | "wieviele" | "combien" => Kind::Number,
        "сколько" | "câți" | "câte" | "πόσα" | "πόσες" => Kind::Number,
        "warum" | "pourquoi" | "почему" | "γιατί" => Kind::Explanation,
        "qué" | "cuál" | "was" | "welche" | "welcher" | "quel" | "quelle" | "что" | "ce" | "care" | "τι" => Kind::Thing,
        _ => return None,
    };
    Some(kind)
}

/// Question words of scripts without spaces, with what they ask for; the earlier of two wins.
pub(super) const DENSE_QUESTION_WORDS: [(&str, Kind); 34] = [
    ("为什么", Kind::Explanation),
    ("如何", Kind::Explanation),
    ("怎么", Kind::Explanation),
    ("怎样", Kind::Explanation),
    ("什么时候", Kind::Date),
    ("什么时间", Kind::Date),
    ("何时", Kind::Date),
    ("哪一年", Kind::Date),
    ("哪年", Kind::Date),
    ("几年", Kind::Date),
    ("哪里", Kind::Place),
    ("哪儿", Kind::Place),
    ("何处", Kind::Place),
    ("哪个国家", Kind::Place),
    ("哪个城市", Kind::Place),
    ("什么地方", Kind::Place),
    ("谁", Kind::Person),
    ("哪位", Kind::Person),
    ("多少", Kind::Number),
    ("多大", Kind::Number),
    ("多长", Kind::Number),
    ("几个", Kind::Number),
    ("なぜ", Kind::Explanation),
    ("どうして", Kind::Explanation),
    ("どのように", Kind::Explanation),
    ("いつ", Kind::Date),
    ("何年", Kind::Date),
    ("どこ", Kind::Place),
    ("誰", Kind::Person),
    ("だれ", Kind::Person),
    ("いくつ", Kind::Number),
    ("何人", Kind::Number),
    ("どのくらい", Kind::Number),
    ("いくら", Kind::Number),
];

/// Months, for dates.
pub(super) const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// Numbers written as words.
static NUMBER_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let words = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen twenty thirty forty fifty sixty hundred \
        thousand million billion trillion half dozen none zero once twice";
    words.split(' ').collect()
});

/// Whether `word`, in lower case, is a number.
pub(super) fn is_number_word(word: &str) -> bool {
    NUMBER_WORDS.contains(word)
}

/// Words that may stand inside a name without a capital.
pub(super) fn is_name_joint(word: &str) -> bool {
    matches!(word, "of" | "the" | "de" | "la" | "del" | "van" | "von" | "der" | "du" | "di" | "da" | "for" | "and" | "al" | "el" | "le")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_without_a_common_stem_are_known_to_belong_together() {
        assert!(family("began").contains(&"begin"));
        assert!(family("turnip").is_empty());
    }

    #[test]
    fn a_question_word_says_what_is_asked_for() {
        assert_eq!(kind_of_question_word("whom", Language::English), Some(Kind::Person));
        assert_eq!(kind_of_focus("city"), Some(Kind::Place));
        assert_eq!(kind_of_question_word("care", Language::English), None);
    }
}
