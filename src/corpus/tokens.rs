//! Counting tokens: o200k, the vocabulary in which windows and budgets are measured, whatever model is asked.

/// Number of o200k tokens in `text`; special tokens count as the plain text they are written in.
pub fn count_tokens(text: &str) -> u32 {
    u32::try_from(bpe_openai::o200k_base().count(text)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_o200k() {
        assert_eq!(count_tokens(""), 0);
        assert_eq!(count_tokens("hello world"), 2);
        assert_eq!(count_tokens("L12: 1234567"), 7);
        assert_eq!(count_tokens("<|im_start|>"), 6);
    }
}
