//! Hostile bytes: truncated, altered, oversized, deeply nested, bombs, random. Each is an error that says what it was reading; none panics or
//! takes memory without bound.

use model::wire::{MESSAGE_BYTES_MAX, WireError, decode_message, decode_object, decompress, encode_message, encode_object};
use model::{CandidateMessage, JobMessage, JournalEntry, Trajectory, VerdictObject};
use proptest::prelude::*;

use crate::sample;

/// Every type that is read from the wire or from disk.
fn decode_all(bytes: &[u8]) -> usize {
    let objects = [
        decode_object::<Trajectory>("a trajectory", bytes).is_ok(),
        decode_object::<VerdictObject>("a verdict", bytes).is_ok(),
        decode_object::<Vec<JournalEntry>>("a journal", bytes).is_ok(),
        decode_message::<Trajectory>("a trajectory", bytes).is_ok(),
        decode_message::<JobMessage>("a job", bytes).is_ok(),
        decode_message::<CandidateMessage>("a candidate", bytes).is_ok(),
        serde_json::from_slice::<model::Row>(bytes).is_ok(),
        serde_json::from_slice::<model::Manifest>(bytes).is_ok(),
        serde_json::from_slice::<model::ShardIndex>(bytes).is_ok(),
        serde_json::from_slice::<model::Campaign>(bytes).is_ok(),
        std::str::from_utf8(bytes).is_ok_and(|text| model::written::CampaignFile::parse(text).is_ok()),
    ];
    objects.iter().filter(|decoded| **decoded).count()
}

proptest! {
    #[test]
    fn random_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert_eq!(decode_all(&bytes), 0);
    }

    #[test]
    fn an_object_that_lost_its_end_is_an_error(keep in 0.0f64..1.0) {
        let whole = encode_object("a trajectory", &sample::trajectory()).expect("encoded");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a small length")]
        let length = (whole.len() as f64 * keep) as usize;
        prop_assert!(decode_object::<Trajectory>("a trajectory", &whole[..length]).is_err());
    }

    #[test]
    fn an_object_with_a_changed_byte_is_never_read_as_another(at in any::<proptest::sample::Index>(), flip in 1u8..=255) {
        let mut bytes = encode_object("a trajectory", &sample::trajectory()).expect("encoded");
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        // A changed byte in the frame's header may decode to the same content; it never decodes to other content.
        if let Ok(decoded) = decode_object::<Trajectory>("a trajectory", &bytes) {
            prop_assert_eq!(decoded, sample::trajectory());
        }
    }

    #[test]
    fn a_message_with_changed_bytes_does_not_panic(changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = encode_message("a job", &sample::job_message()).expect("encoded");
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        decode_all(&bytes);
    }

    #[test]
    fn arbitrary_campaign_files_do_not_panic(text in "[\\[\\]a-z_=\"0-9. \n{}#-]{0,200}") {
        if let Ok(file) = model::written::CampaignFile::parse(&text) {
            let _checked = file.resolve(std::path::Path::new("/"));
        }
    }
}

#[test]
fn a_decompression_bomb_is_refused_before_it_is_unpacked() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).expect("compressed");
    assert!(bomb.len() < 64 << 10, "{} bytes", bomb.len());
    let error = decompress("a trajectory", &bomb, 1 << 20).expect_err("64 MiB of content");
    assert!(matches!(error, WireError::TooLarge { limit, .. } if limit == 1 << 20), "{error}");
}

#[test]
fn a_frame_that_asks_for_a_huge_window_is_refused() {
    // Streamed, so that the frame's header names the window and not the small size of its content.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("an encoder");
    encoder.window_log(27).expect("a window");
    std::io::Write::write_all(&mut encoder, &[7; 4096]).expect("written");
    let frame = encoder.finish().expect("a frame");
    assert!(decompress("a trajectory", &frame, 1 << 20).is_err());
}

#[test]
fn deep_nesting_is_an_error_in_every_format() {
    // MessagePack: arrays of one element, a hundred thousand deep, as the seed's extra field.
    let mut message = encode_message("a job", &sample::job_message()).expect("encoded");
    let place = message.windows(5).position(|bytes| bytes == b"\xa4hops").expect("the extra field") + 5;
    let deep = [vec![0x91; 100_000], vec![0xc0]].concat();
    message.splice(place..=place, deep);
    let error = decode_message::<JobMessage>("a job message", &message).expect_err("too deep");
    assert!(error.to_string().contains("a job message"), "{error}");

    let json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(decode_all(json.as_bytes()), 0);
    assert_eq!(decode_all(format!("a = {json}").as_bytes()), 0);
}

#[test]
fn a_length_that_lies_is_an_error_and_allocates_nothing_like_it() {
    // An array and a text of 2^32 - 1 elements, of which there are none.
    for lie in [[0xdd, 0xff, 0xff, 0xff, 0xff], [0xdb, 0xff, 0xff, 0xff, 0xff]] {
        assert!(decode_message::<Vec<JournalEntry>>("a journal", &lie).is_err());
        assert!(decode_message::<String>("a text", &lie).is_err());
    }
}

#[test]
fn what_follows_a_message_is_an_error() {
    let mut bytes = encode_message("a job", &sample::job_message()).expect("encoded");
    bytes.push(0xc0);
    assert!(matches!(decode_message::<JobMessage>("a job", &bytes), Err(WireError::Trailing { bytes: 1, .. })));
    assert!(bytes.len() < MESSAGE_BYTES_MAX);
}
