//! Seeds of towns that want others than the example's: more of them, or a spoilt one.

use serde_json::Value;

use super::town::Town;
use crate::house;

/// Lines of `count` seeds: the example's, and then the same questions again under other ids.
pub(crate) fn lines(count: usize) -> Vec<String> {
    let text = std::fs::read_to_string(house::examples().join("seeds.jsonl")).expect("the example's seeds");
    let examples: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a seed")).collect();
    let line = |number: usize| {
        let (mut seed, round) = (examples[number % examples.len()].clone(), number / examples.len());
        if round > 0 {
            let id = format!("{}-{round}", seed["id"].as_str().expect("an id"));
            seed["id"] = id.into();
        }
        seed.to_string()
    };
    (0..count).map(line).collect()
}

impl Town {
    /// Has a campaign file that is written from here on name these seeds.
    pub(crate) fn write_seeds(&self, lines: &[String]) {
        std::fs::write(self.path("seeds.jsonl"), lines.join("\n")).expect("written");
    }

    /// As [`Town::write_seeds`] with the example's first `count`, the second of which is unusable: its job fails at once.
    pub(crate) fn write_seeds_with_a_spoilt_one(&self, count: usize) {
        let mut lines = lines(count);
        lines[1] = "{\"id\": \"bad\"}".to_owned();
        self.write_seeds(&lines);
    }
}
