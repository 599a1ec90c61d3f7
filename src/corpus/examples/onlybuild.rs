use corpus::*; use std::path::PathBuf;
fn main(){ let a:Vec<String>=std::env::args().collect(); let home=tempfile::tempdir().unwrap(); let s=std::time::Instant::now(); let mut last=None;
 build(&BuildOptions{sources:vec![PathBuf::from(&a[1])],target:home.path().join("c"),strict:false,threads:2},&mut |p|{ if last!=Some(p.phase){ println!("{:?} {:?}",p.phase,s.elapsed()); last=Some(p.phase);} }).unwrap(); println!("{:?}",s.elapsed()); }
