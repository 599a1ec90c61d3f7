//! What counts tokens: a built-in tokenizer, or a model's own.
//!
//! Counting never fails and never panics, whatever the text: where a model's own tokenizer gives up on a piece, o200k counts that piece. It is
//! linear in the text for the built-in ones; for a model's own the text is cut into pieces of bounded length, so that what a tokenizer does
//! with one endless word stays bounded too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokenizers::Tokenizer;

/// Most bytes that a model's own tokenizer sees at once. A cut falls behind a line where there is one, and may count a token or two more.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// A tokenizer, as far as counting needs one. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub enum Tokens {
    /// OpenAI's o200k.
    #[default]
    O200k,
    /// OpenAI's cl100k.
    Cl100k,
    /// The one of a Hugging Face `tokenizer.json`.
    HuggingFace(Arc<Tokenizer>),
}

impl Tokens {
    /// The tokenizer that settings call `name`; `file` is the text of the `tokenizer.json` where the name is no built-in one's.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(name: &str, file: Option<&str>) -> Result<Self, String> {
        match name {
            "o200k" => Ok(Self::O200k),
            "cl100k" => Ok(Self::Cl100k),
            other => {
                let text =
                    file.ok_or_else(|| format!("count tokens by `{other}`: it is neither o200k nor cl100k, and no file is given"))?;
                let mut tokenizer: Tokenizer =
                    text.parse().map_err(|error| format!("read `{other}`, which must be a Hugging Face tokenizer.json: {error}"))?;
                // A file says how its model was trained: what was cut off or filled up there is no matter here.
                tokenizer.with_truncation(None).map_err(|error| format!("read `{other}`: {error}"))?;
                tokenizer.with_padding(None);
                Ok(Self::HuggingFace(Arc::new(tokenizer)))
            }
        }
    }

    /// Tokens of `text`, without those that a model puts around it.
    pub fn count(&self, text: &str) -> u32 {
        let count = match self {
            Self::O200k => bpe_openai::o200k_base().count(text),
            Self::Cl100k => bpe_openai::cl100k_base().count(text),
            Self::HuggingFace(tokenizer) => pieces(text).map(|piece| count_piece(tokenizer, piece)).sum(),
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

fn count_piece(tokenizer: &Tokenizer, piece: &str) -> usize {
    // Which file and which text meet here nobody has tried before: a panic of the library must not take the job with it.
    let encoded = catch_unwind(AssertUnwindSafe(|| tokenizer.encode_fast(piece, false)));
    match encoded {
        Ok(Ok(encoding)) => encoding.len(),
        Ok(Err(_)) | Err(_) => bpe_openai::o200k_base().count(piece),
    }
}

/// `text` in pieces of at most [`PIECE_BYTES_MAX`], cut behind lines where there are any.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let most = rest.floor_char_boundary(PIECE_BYTES_MAX);
        let window = rest.get(..most)?;
        let end = if most < rest.len() { window.rfind('\n').map_or(most, |newline| newline + 1) } else { most };
        let (piece, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Words of a small vocabulary, split at blanks; every text begins with `[BOS]` when special tokens are added, and is cut at 4 tokens.
    fn words(unknown: &str) -> String {
        json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[BOS]"},
            "added_tokens": [{
                "id": 0, "content": "[BOS]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
            }],
            "normalizer": null,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[BOS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"[BOS]": {"id": "[BOS]", "ids": [0], "tokens": ["[BOS]"]}},
            },
            "decoder": null,
            "model": {"type": "WordLevel", "vocab": {"[BOS]": 0, "[UNK]": 1, "dam": 2, "river": 3}, "unk_token": unknown},
        })
        .to_string()
    }

    #[test]
    fn built_in_tokenizers_count_as_openai_does() {
        for (name, text, count) in
            [("o200k", "hello world", 2), ("cl100k", "hello world", 2), ("o200k", "", 0), ("cl100k", "<|im_start|>", 6)]
        {
            assert_eq!(Tokens::new(name, None).expect("built in").count(text), count, "{name}: {text}");
        }
        let hangul = "안녕하세요 세계";
        assert_ne!(Tokens::O200k.count(hangul), Tokens::Cl100k.count(hangul), "two vocabularies");
    }

    #[test]
    fn a_tokenizer_file_counts_without_special_tokens_and_cuts_nothing_off() {
        let tokens = Tokens::new("some/tokenizer.json", Some(&words("[UNK]"))).expect("a sound file");
        assert_eq!(tokens.count("dam river  unheard\ndam dam river"), 6);
        assert_eq!(tokens.count(""), 0);
        let lines = "dam river dam\n".repeat(20_000);
        assert_eq!(tokens.clone().count(&lines), 60_000, "however long");
    }

    #[test]
    fn what_a_tokenizer_cannot_read_is_counted_all_the_same() {
        let tokens = Tokens::new("some/tokenizer.json", Some(&words("[NO SUCH TOKEN]"))).expect("read as a file");
        assert_eq!(tokens.count("dam unheard"), Tokens::O200k.count("dam unheard"));
        let endless = "ä".repeat(200_000);
        assert!(tokens.count(&endless) > 0);
        assert_eq!(pieces(&endless).map(str::len).sum::<usize>(), endless.len());
        assert!(pieces(&endless).all(|piece| piece.len() <= PIECE_BYTES_MAX));
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_named_with_what_is_wrong() {
        let error = Tokens::new("m/tokenizer.json", Some("{\"version\": 1}")).expect_err("no model");
        assert!(error.contains("m/tokenizer.json"), "{error}");
        assert!(Tokens::new("o300k", None).expect_err("unknown").contains("o300k"));
    }
}
