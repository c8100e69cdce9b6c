//! A server under load, in turn with others: what it answers a second, how late the last of a hundred answers is, and how
//! much processor time that takes.

use std::net::SocketAddr;
use std::time::Duration;

use super::load::{Asked, Took, load};
use super::process::processor_times;
use super::{compare, middle};

/// Where a server listens, which processes answer, and what its turns took.
pub struct Server {
    name: &'static str,
    address: SocketAddr,
    processes: Vec<u32>,
    turns: Vec<Took>,
    /// Processor time of all turns; `None` where the system does not tell.
    spent: Option<Duration>,
}

impl Server {
    pub fn new(name: &'static str, address: SocketAddr, processes: Vec<u32>) -> Server {
        Server { name, address, processes, turns: Vec::new(), spent: Some(Duration::ZERO) }
    }

    /// One more turn: as many clients and requests as `load` is told.
    pub fn turn(&mut self, asked: &[Asked], headers: &str, clients: usize, times: usize) {
        let before = processor_times(&self.processes);
        self.turns.push(load(self.address, asked, headers, clients, times));
        let after = processor_times(&self.processes);
        self.spent = self.spent.zip(after.zip(before)).map(|(spent, (after, before))| spent + (after - before));
    }

    /// Says how two servers relate that were asked for small answers.
    pub fn compare_requests(&self, what: &str, other: &Server) {
        let (ours, theirs) = (self.median(Took::rate), other.median(Took::rate));
        let name = other.name;
        println!("ratio  {what}, requests a second beside {name}: {:.2} ({ours:.0} to {theirs:.0})", ours / theirs);
        compare(&format!("{what}, p99 beside {name}"), self.p99(), other.p99());
        let what = format!("{what}, processor time of 10,000 beside {name}");
        compare(&what, self.spent_on_10_000(), other.spent_on_10_000());
    }

    /// Says how two servers relate that were asked for large answers.
    pub fn compare_bytes(&self, what: &str, other: &Server) {
        let (ours, theirs) = (self.median(Took::megabytes), other.median(Took::megabytes));
        let name = other.name;
        println!("ratio  {what}, MB a second beside {name}: {:.2} ({ours:.0} to {theirs:.0})", ours / theirs);
        if let (Some(ours), Some(theirs)) = (self.seconds_for_a_gigabyte(), other.seconds_for_a_gigabyte()) {
            let ratio = ours / theirs;
            println!("ratio  {what}, processor seconds for a GB beside {name}: {ratio:.2} ({ours:.3} to {theirs:.3})");
        }
    }

    fn median(&self, of: fn(&Took) -> f64) -> f64 {
        let mut all: Vec<f64> = self.turns.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    /// The median of all turns.
    fn p99(&self) -> Option<Duration> {
        middle(self.turns.iter().map(|turn| turn.within(0.99)).collect())
    }

    fn spent_on_10_000(&self) -> Option<Duration> {
        let answers: usize = self.turns.iter().map(|turn| turn.answers.len()).sum();
        self.spent.map(|spent| spent * 10_000 / answers as u32)
    }

    fn seconds_for_a_gigabyte(&self) -> Option<f64> {
        let bytes: u64 = self.turns.iter().map(|turn| turn.bytes).sum();
        self.spent.map(|spent| spent.as_secs_f64() / (bytes as f64 / 1e9))
    }
}
