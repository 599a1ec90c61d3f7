//! scratch
use corpus::*;
use serde_json::{Map, Value, json};
use std::time::Instant;
fn act(tool: &str, a: Value) -> model::Action {
    let Value::Object(arguments) = a else { panic!() };
    let _: &Map<String, Value> = &arguments;
    model::Action { id: String::new(), tool: tool.into(), arguments, dialect: "x".into(), repairs: vec![], unreadable: None }
}
fn main() {
    let mut args = std::env::args().skip(1);
    let dir = std::path::PathBuf::from(args.next().unwrap());
    let queries = args.next().unwrap();
    if !dir.exists() {
        let src = args.next().unwrap();
        let o = BuildOptions { sources: vec![src.into()], target: dir.clone(), strict: false, threads: 2 };
        build(&o, &mut |_| {}).unwrap();
    }
    let c = Corpus::open(&dir).unwrap();
    count_tokens("x");
    let text = String::from_utf8(std::process::Command::new("zstd").args(["-dcq", &queries]).output().unwrap().stdout).unwrap();
    let qs: Vec<Value> = text.lines().take(1000).map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut t: std::collections::BTreeMap<&str, Vec<(f64, usize, u32)>> = Default::default();
    for q in &qs {
        let q = q["question"].as_str().unwrap();
        let i = Instant::now(); let h = c.search(q, 10).unwrap(); t.entry("0 index search").or_default().push((i.elapsed().as_secs_f64()*1e6, 0, h.len() as u32));
        let mut b = Browser::new(c.clone(), ToolLimits::default());
        let mut go = |k: &'static str, b: &mut Browser, tool: &str, a: Value| { let a = act(tool, a); let i = Instant::now(); let o = perform(b, &a); t.entry(k).or_default().push((i.elapsed().as_secs_f64()*1e6, o.text.len(), o.tokens)); o };
        let o = go("1 search", &mut b, "search", json!({"query": q}));
        if o.error.is_some() { continue }
        go("2 open", &mut b, "open", json!({"id": 0}));
        go("3 scroll", &mut b, "open", json!({}));
        let w = q.split_whitespace().max_by_key(|w| w.len()).unwrap_or("x");
        go("4 find", &mut b, "find", json!({"pattern": w, "cursor": 1}));
        go("5 find 'the'", &mut b, "find", json!({"pattern": "the", "cursor": 1}));
        let i = Instant::now(); let _c2 = b.clone(); t.entry("6 clone").or_default().push((i.elapsed().as_secs_f64()*1e6, 0, 0));
        let i = Instant::now(); let r = resolve_citations(&b, "x【1†L2-L4】 y【0†L3】 z【4】"); t.entry("7 cite").or_default().push((i.elapsed().as_secs_f64()*1e6, r.len(), 0));
        let u = o.urls_shown[0].clone();
        let i = Instant::now(); let d = c.document(c.lookup(&u).unwrap().unwrap()).unwrap(); t.entry("8 lookup+document").or_default().push((i.elapsed().as_secs_f64()*1e6, d.text.len(), d.links.len() as u32));
        let i = Instant::now(); count_tokens(&o.text); t.entry("9 count search text").or_default().push((i.elapsed().as_secs_f64()*1e6, 0, 0));
    }
    for (k, mut v) in t {
        v.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = v.len() as f64;
        println!("{k:22} p50 {:8.1} p99 {:8.1} mean {:8.1} us; bytes {:8.0} tokens/links {:6.0}", v[v.len()/2].0, v[v.len()*99/100].0, v.iter().map(|x| x.0).sum::<f64>()/n, v.iter().map(|x| x.1 as f64).sum::<f64>()/n, v.iter().map(|x| x.2 as f64).sum::<f64>()/n);
    }
}
