use std::collections::HashMap; use std::io::{BufRead,BufReader}; use std::fs::File; use std::time::Instant; use std::path::*;
use corpus::*;
fn zl(p:&str)->Vec<String>{BufReader::new(zstd::Decoder::new(File::open(p).unwrap()).unwrap()).lines().map(|l|l.unwrap()).collect()}
fn main(){
 let a:Vec<String>=std::env::args().collect();
 let (src,q,qr,qf)=(&a[1],&a[2],&a[3],&a[4]);
 let home=tempfile::tempdir().unwrap(); let t=home.path().join("c");
 let r=build(&BuildOptions{sources:vec![PathBuf::from(src)],target:t.clone(),strict:false,threads:2},&mut |_|{}).unwrap();
 println!("{:?} {:?}",r.manifest.counts,r.manifest.index); for b in r.rejected.iter().take(3){println!("{} {}",b.line,b.reason);}
 let c=Corpus::open(&t).unwrap();
 let mut rel:HashMap<String,HashMap<u32,f64>>=HashMap::new(); let mut miss=0;
 let pre=a.get(5).cloned().unwrap_or_default();
 if qr=="-"{for l in zl(q){let v:serde_json::Value=serde_json::from_str(&l).unwrap(); for u in v[pre.as_str()].as_array().unwrap(){match c.lookup(u.as_str().unwrap()).unwrap(){Some(o)=>{rel.entry(v["id"].as_str().unwrap().into()).or_default().insert(o.0,1.0);},None=>miss+=1}}}}
 else {for l in zl(qr){let f:Vec<&str>=l.split('\t').collect(); let g:f64=f[f.len()-1].parse().unwrap_or(0.0); if g<=0.0{continue;} match c.lookup(&format!("{pre}{}",f[1])).unwrap(){Some(o)=>{let e=rel.entry(f[0].into()).or_default().entry(o.0).or_insert(0.0); *e=e.max(g);},None=>{miss+=1;}}}}
 let mut nd=0.0;let mut n=0;let mut hit=0; for k in [1usize,10,100]{let mut ts=vec![]; 
 for l in zl(q){let v:serde_json::Value=serde_json::from_str(&l).unwrap(); let id=v["id"].as_str().unwrap_or(""); let Some(rl)=rel.get(id) else{continue}; let qs=v[qf.as_str()].as_str().unwrap();
  let s=Instant::now(); let h=c.search(qs,k).unwrap(); ts.push(s.elapsed().as_secs_f64()*1e3);
  if k==10{let g=|r:usize,x:f64| x/((r+2) as f64).log2(); let mut id:Vec<f64>=rl.values().copied().collect(); id.sort_by(|a,b|b.total_cmp(a)); let ideal:f64=id.iter().take(10).enumerate().map(|(r,x)|g(r,*x)).sum();
   let got:f64=h.iter().enumerate().map(|(r,x)|g(r,rl.get(&x.ordinal.0).copied().unwrap_or(0.0))).sum(); nd+=got/ideal; n+=1; hit+=usize::from(got>0.0);}}
 ts.sort_by(|a,b|a.total_cmp(b)); println!("top{k}: p50 {:.3} p99 {:.3} ms",ts[ts.len()/2],ts[ts.len()*99/100]);}
 println!("n {n} missing gold {miss} nDCG@10 {:.4} hit@10 {:.4}",nd/n as f64,hit as f64/n as f64);
}
