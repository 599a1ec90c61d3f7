//! What language a text is told to be in, how surely, and how much there was to tell it by.
//!
//! Chinese, Japanese and Korean are told by their script, which needs a few characters only; everything else by letter statistics, which need
//! a sentence. A text that mixes scripts is told by the one that says more: a Chinese or Korean character counts as three letters.

use std::collections::BTreeMap;

use whatlang::{Lang, Script};

/// Letters an ideograph, a kana or a Hangul syllable stands for.
const LETTERS_PER_CJK: u64 = 3;
/// Longest text that is looked at, in characters. More does not tell more.
const CHARS_MAX: usize = 3_000;
/// Ideographs from which on a text without kana is Chinese; a short one may be a Japanese name.
const IDEOGRAPHS_SURE: u64 = 8;

/// What a text was told to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told {
    /// The language.
    pub(super) lang: Lang,
    /// Whether the evidence is enough to act on.
    pub(super) sure: bool,
    /// How much there was to tell it by, in letters.
    pub(super) letters: u64,
    /// Share of `letters` in the script that most of them are in; Chinese, Japanese and Korean count as one.
    pub(super) script_share: f64,
}

/// Tells the language of `text`; nothing when it has no letters that any language claims.
pub(super) fn tell(text: &str) -> Option<Told> {
    let (mut han, mut kana, mut hangul) = (0, 0, 0);
    let mut others: BTreeMap<u32, u64> = BTreeMap::new();
    let mut rest = String::new();
    for c in text.chars().take(CHARS_MAX) {
        match c {
            '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' => han += 1,
            '\u{3041}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{FF66}'..='\u{FF9D}' => kana += 1,
            '\u{1100}'..='\u{11FF}' | '\u{3131}'..='\u{318E}' | '\u{AC00}'..='\u{D7A3}' => hangul += 1,
            _ => {
                if c.is_alphabetic() {
                    *others.entry(script_of(c)).or_default() += 1;
                }
                rest.push(c);
            }
        }
    }
    let cjk = han + kana + hangul;
    let letters = cjk * LETTERS_PER_CJK + others.values().sum::<u64>();
    let most = others.values().copied().max().unwrap_or_default();
    if cjk * LETTERS_PER_CJK <= most {
        let info = whatlang::detect(&rest)?;
        return Some(Told { lang: info.lang(), sure: info.is_reliable(), letters, script_share: super::share(most, letters) });
    }
    let (lang, sure) = if hangul * 2 >= cjk {
        (Lang::Kor, true)
    } else if kana * 20 >= cjk {
        (Lang::Jpn, kana > 1)
    } else {
        (Lang::Cmn, kana == 0 && han >= IDEOGRAPHS_SURE)
    };
    Some(Told { lang, sure, letters, script_share: super::share(cjk * LETTERS_PER_CJK, letters) })
}

/// A number for the script of a letter, good enough to count by: Latin, Greek, Cyrillic and Arabic are named, and elsewhere a script fills its
/// own blocks of 128 characters.
fn script_of(c: char) -> u32 {
    match u32::from(c) {
        0x0000..=0x02AF | 0x1D00..=0x1EFF | 0x2C60..=0x2C7F | 0xA720..=0xA7FF | 0xFF21..=0xFF5A => 0,
        0x0370..=0x03FF | 0x1F00..=0x1FFF => 1,
        0x0400..=0x052F => 2,
        0x0600..=0x06FF | 0x0750..=0x077F | 0x08A0..=0x08FF | 0xFB50..=0xFDFF | 0xFE70..=0xFEFF => 3,
        other => 4 + (other >> 7),
    }
}

/// Whether some script is used for both languages.
pub(super) fn share_a_script(a: Lang, b: Lang) -> bool {
    a == b || Script::all().iter().any(|script| script.langs().contains(&a) && script.langs().contains(&b))
}

/// Languages so close that letter statistics take one for the other, and Serbian, which has two scripts.
const RELATIVES: [&[Lang]; 9] = [
    &[Lang::Dan, Lang::Nob, Lang::Swe],
    &[Lang::Hrv, Lang::Srp, Lang::Slv],
    &[Lang::Ces, Lang::Slk],
    &[Lang::Spa, Lang::Por, Lang::Cat],
    &[Lang::Nld, Lang::Afr],
    &[Lang::Ind, Lang::Jav],
    &[Lang::Hin, Lang::Mar, Lang::Nep],
    &[Lang::Bul, Lang::Mkd, Lang::Srp],
    &[Lang::Rus, Lang::Ukr, Lang::Bel],
];

/// Whether one is easily taken for the other.
pub(super) fn are_relatives(a: Lang, b: Lang) -> bool {
    RELATIVES.iter().any(|family| family.contains(&a) && family.contains(&b))
}

/// The language of an ISO 639-1 code, with or without region (`zh`, `pt-BR`, `zh_Hant`); a code of three letters is taken as ISO 639-3.
pub(super) fn of_code(code: &str) -> Option<Lang> {
    let code = code.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let three = codes().find(|(two, _)| *two == code).map_or(code.as_str(), |(_, three)| three);
    Lang::from_code(three)
}

fn codes() -> impl Iterator<Item = (&'static str, &'static str)> {
    CODES.split_whitespace().filter_map(|pair| pair.split_once('='))
}

/// ISO 639-1 to ISO 639-3, for the languages that can be told.
const CODES: &str = "\
    af=afr ak=aka am=amh ar=ara az=aze be=bel bg=bul bn=ben ca=cat cs=ces cy=cym da=dan de=deu el=ell en=eng eo=epo es=spa \
    et=est fa=pes fi=fin fr=fra gu=guj he=heb hi=hin hr=hrv hu=hun hy=hye id=ind it=ita ja=jpn jv=jav ka=kat km=khm kn=kan \
    ko=kor la=lat lt=lit lv=lav mk=mkd ml=mal mr=mar my=mya nb=nob ne=nep nl=nld no=nob or=ori pa=pan pl=pol pt=por ro=ron \
    ru=rus si=sin sk=slk sl=slv sn=sna sr=srp sv=swe ta=tam te=tel th=tha tk=tuk tl=tgl tr=tur uk=ukr ur=urd uz=uzb vi=vie \
    zh=cmn";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_names_a_language_that_can_be_told() {
        for (two, three) in codes() {
            assert_eq!(of_code(two).map(|lang| lang.code()), Some(three));
        }
        assert_eq!(of_code("zh-Hant"), Some(Lang::Cmn));
        assert_eq!(of_code("DEU"), Some(Lang::Deu));
        assert_eq!(of_code("xx"), None);
        assert_eq!(of_code(""), None);
    }

    #[test]
    fn chinese_japanese_and_korean_are_told_by_their_script() {
        let lang = |text| tell(text).map(|told| (told.lang, told.sure));
        assert_eq!(lang("潮汐磨坊最早的记录是哪一年？"), Some((Lang::Cmn, true)));
        assert_eq!(lang("東京"), Some((Lang::Cmn, false)));
        assert_eq!(lang("この水車は何年に記録されましたか"), Some((Lang::Jpn, true)));
        assert_eq!(lang("이 물레방아는 언제 처음 기록되었습니까"), Some((Lang::Kor, true)));
        assert_eq!(lang("第一座 mill 是谁建造的"), Some((Lang::Cmn, true)));
        assert_eq!(lang("1170 — 42 %"), None);
    }

    #[test]
    fn a_name_in_another_script_does_not_change_the_language() {
        let told = tell("The novel 紅樓夢 was written in the eighteenth century and is counted among the great novels.").expect("letters");
        assert_eq!(told.lang, Lang::Eng);
        assert!(told.script_share > 0.8);
    }
}
