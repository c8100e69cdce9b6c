//! What the walk costs: 20 upstreams, 1,000 modules, 64 clients; cold and warm, and for each upstream that is passed by.
//!
//! `cargo bench --bench walk`; the table of docs/performance.md is made of what it prints.

mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use measured::wire::Wire;
use measured::{compare, middle};
use support::double::Double;
use support::modvet::Modvet;
use support::release::Release;

const UPSTREAMS: usize = 20;
const MODULES: usize = 1_000;
const CLIENTS: usize = 64;
/// How often each client asks in a warm round.
const TIMES: usize = 300;

fn main() {
    let doubles: Vec<Double> = (0..UPSTREAMS).map(|_| Double::start()).collect();
    for number in 0..MODULES {
        doubles[number % UPSTREAMS].add(&Release::new(&module(number), "v1.0.0"));
    }
    let modvet = registry(&doubles);
    one_after_the_other(&modvet);
    drop(modvet);
    let modvet = registry(&doubles);
    doubles.iter().for_each(Double::forget);
    let many = all_at_once(&modvet, "cold, 64 clients, 20 upstreams");
    let asked: usize = doubles.iter().map(|double| double.count("")).sum();
    println!("count  requests to upstreams for {MODULES} cold questions: {asked}");
    let alone = Double::start();
    (0..MODULES).for_each(|number| alone.add(&Release::new(&module(number), "v1.0.0")));
    let single = registry(std::slice::from_ref(&alone));
    let one = all_at_once(&single, "cold, 64 clients, 1 upstream");
    compare(&format!("{MODULES} cold questions, {CLIENTS} clients, {UPSTREAMS} upstreams to 1"), Some(many), Some(one));
    let (many, one) = (warm(&modvet, "20 upstreams"), warm(&single, "1 upstream"));
    compare(&format!("warm .info, {CLIENTS} clients, {UPSTREAMS} upstreams to 1"), Some(many), Some(one));
}

fn module(number: usize) -> String {
    format!("bench.test/m{number}")
}

fn path(number: usize) -> String {
    format!("/{}/@v/v1.0.0.info", module(number))
}

/// modvet with an empty store before these upstreams, in this order.
fn registry(doubles: &[Double]) -> Modvet {
    let settings: String =
        doubles.iter().enumerate().map(|(number, double)| double.settings(&format!("up{number}"))).collect();
    Modvet::start(&settings)
}

fn ask(wire: &mut Wire, number: usize) -> Duration {
    let path = path(number);
    let start = Instant::now();
    let (status, body) = wire.get(&path);
    let took = start.elapsed();
    let body = String::from_utf8_lossy(body);
    assert!(status == 200 && body.contains("\"Version\":\"v1.0.0\""), "{path}: {status} {body}");
    took
}

/// One client: how long a question takes that the upstream at each place answers, cold and then warm.
fn one_after_the_other(modvet: &Modvet) {
    let mut wire = Wire::connect(modvet.address());
    for (name, unit) in
        [("cold", "question that an upstream passes by"), ("warm", "upstream before the one that has it")]
    {
        let mut at = |place: usize| {
            let numbers = (place..MODULES).step_by(UPSTREAMS);
            middle(numbers.map(|number| ask(&mut wire, number)).collect()).expect("there are some")
        };
        // What is asked cold is asked once; what is warm was asked a moment ago.
        if name == "warm" {
            (0..UPSTREAMS).for_each(|place| _ = at(place));
        }
        let times: Vec<Duration> = (0..UPSTREAMS).map(&mut at).collect();
        let (first, last) = (times[0], times[UPSTREAMS - 1]);
        let each = (last.as_secs_f64() - first.as_secs_f64()) / (UPSTREAMS - 1) as f64;
        println!("time   {name}, 1 client, the 1st upstream has it: {first:.2?}, the 20th: {last:.2?}");
        println!("time   {name}, for each {unit}: {:.1} µs", each * 1e6);
    }
}

/// All modules once, by all clients together.
fn all_at_once(modvet: &Modvet, name: &str) -> Duration {
    let mut wires: Vec<Wire> = (0..CLIENTS).map(|_| Wire::connect(modvet.address())).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (client, wire) in wires.iter_mut().enumerate() {
            scope.spawn(move || (client..MODULES).step_by(CLIENTS).for_each(|number| _ = ask(wire, number)));
        }
    });
    let took = start.elapsed();
    println!("time   {name}, {MODULES} modules: {took:.2?}");
    took
}

/// All clients ask for all modules, each beginning elsewhere.
fn warm(modvet: &Modvet, name: &str) -> Duration {
    let mut wires: Vec<Wire> = (0..CLIENTS).map(|_| Wire::connect(modvet.address())).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (client, wire) in wires.iter_mut().enumerate() {
            let numbers = (0..TIMES).map(move |time| (client * MODULES / CLIENTS + time) % MODULES);
            scope.spawn(move || numbers.for_each(|number| _ = ask(wire, number)));
        }
    });
    let took = start.elapsed();
    let rate = (CLIENTS * TIMES) as f64 / took.as_secs_f64();
    println!("count  warm .info, {CLIENTS} clients, {name}: {rate:.0} requests a second");
    took
}
