//! Every record of a growing log and every older tree is proven, and nothing that was tampered with.

use std::collections::HashSet;

use super::grown::Log;
use super::*;

const RECORDS: u64 = 300;

fn log() -> Log {
    Log::of((0..RECORDS).map(|number| format!("record {number}\n")))
}

/// The hash that the tiles give for an older tree.
fn older(log: &Log, tree: TreeHead, size: u64, height: u32) -> Hash {
    let plan = Plan::new(tree, &peaks(size), height).expect("older");
    let bytes = log.tiles(&plan);
    let proven = plan.prove(&bytes).expect("the log's own tiles");
    root(&peaks(size).into_iter().map(|peak| proven.hash(peak).expect("planned")).collect::<Vec<_>>())
}

#[test]
fn every_record_is_proven_in_every_tree() {
    let log = log();
    for size in 1..=RECORDS {
        let tree = log.head(size);
        let nodes: Vec<Node> = (0..size).map(Node::leaf).collect();
        for height in [2, HEIGHT] {
            let plan = Plan::new(tree, &nodes, height).expect("all in the tree");
            let bytes = log.tiles(&plan);
            let proven = plan.prove(&bytes).expect("the log's own tiles");
            for number in 0..size {
                let expected = Hash::of_record(format!("record {number}\n").as_bytes());
                assert_eq!(proven.hash(Node::leaf(number)), Some(expected), "{number} of {size}");
            }
        }
        assert!(Plan::new(tree, &[Node::leaf(size)], HEIGHT).is_none(), "record {size} of {size}");
    }
}

#[test]
fn every_tree_is_proven_to_hold_every_older_one() {
    let log = log();
    let heads: Vec<TreeHead> = (0..=RECORDS).map(|size| log.head(size)).collect();
    for size in 1..=RECORDS {
        let nodes: HashSet<Node> = (0..=size).flat_map(peaks).collect();
        let nodes: Vec<Node> = nodes.into_iter().collect();
        let plan = Plan::new(log.head(size), &nodes, HEIGHT).expect("all in the tree");
        let bytes = log.tiles(&plan);
        let proven = plan.prove(&bytes).expect("the log's own tiles");
        let hashes: HashMap<Node, Hash> =
            nodes.iter().map(|node| (*node, proven.hash(*node).expect("planned"))).collect();
        for before in 0..=size {
            let found = root(&peaks(before).iter().map(|peak| hashes[peak]).collect::<Vec<_>>());
            assert_eq!(found, heads[before as usize].hash, "{before} in {size}");
        }
    }
    for (size, before) in [(300, 299), (300, 64), (85, 84), (65, 16), (17, 3)] {
        assert_eq!(older(&log, log.head(size), before, 2), log.head(before).hash, "{before} in {size} by small tiles");
    }
}

#[test]
fn another_history_is_no_older_tree() {
    let log = log();
    let mut forked = Log::of((0..100).map(|number| format!("record {number}\n")));
    (100..200).for_each(|number| forked.add(format!("other record {number}\n").as_bytes()));
    for size in 1..=200 {
        let is_same = older(&log, log.head(RECORDS), size, HEIGHT) == forked.head(size).hash;
        assert_eq!(is_same, size <= 100, "{size}");
    }
}

#[test]
fn any_flipped_bit_is_noticed() {
    let log = log();
    for (size, number, height) in [(300, 7, 8), (300, 299, 8), (300, 250, 2), (64, 0, 2), (1, 0, 8), (257, 256, 8)] {
        let plan = Plan::new(log.head(size), &[Node::leaf(number)], height).expect("in the tree");
        let bytes = log.tiles(&plan);
        for tile in 0..bytes.len() {
            for at in (0..bytes[tile].len()).step_by(5) {
                let mut wrong = bytes.clone();
                wrong[tile][at] ^= 1 << (at % 8);
                let error = plan.prove(&wrong).expect_err("tampered with");
                assert!(error.what().starts_with("inconsistent tile: tile/"), "{error}");
            }
        }
        let mut tree = log.head(size);
        tree.hash.0[3] ^= 8;
        assert!(Plan::new(tree, &[], height).expect("a plan").prove(&bytes).is_err(), "another tree's hash");
    }
}

#[test]
fn a_tile_of_another_size_is_not_what_it_claims() {
    let log = log();
    let plan = Plan::new(log.head(300), &[Node::leaf(7)], HEIGHT).expect("in the tree");
    for change in [|bytes: &mut Vec<u8>| bytes.truncate(31), |bytes: &mut Vec<u8>| bytes.push(0)] {
        let mut bytes = log.tiles(&plan);
        change(bytes.last_mut().expect("tiles"));
        let error = plan.prove(&bytes).expect_err("another size");
        assert_eq!(error.what(), "tile/8/0/000 is not what it claims (expected 8192 bytes)");
    }
    let mut bytes = log.tiles(&plan);
    bytes.pop();
    assert!(plan.prove(&bytes).is_err(), "one is missing");
}

#[test]
fn it_takes_the_edge_and_the_way_up() {
    let log = Log::of((0..70_000).map(|number| format!("record {number}\n")));
    let names = |plan: Plan| plan.tiles().iter().map(Tile::to_string).collect::<Vec<_>>();
    let edge = ["tile/8/2/000.p/1", "tile/8/1/001.p/17", "tile/8/0/273.p/112"];
    assert_eq!(names(Plan::new(log.head(70_000), &[], HEIGHT).expect("a plan")), edge);
    let way = ["tile/8/1/000", "tile/8/0/003"];
    let plan = Plan::new(log.head(70_000), &[Node::leaf(800)], HEIGHT).expect("a plan");
    plan.prove(&log.tiles(&plan)).expect("proven");
    assert_eq!(names(plan), [&edge[..], &way].concat());
}

#[test]
fn an_address_is_read_as_it_is_printed() {
    for address in [
        "tile/8/0/000",
        "tile/8/0/x001/234",
        "tile/8/3/000.p/5",
        "tile/8/data/x123/x456/789",
        "tile/30/63/000.p/1",
        "tile/1/0/x009/x223/x372/x036/x854/x775/807",
    ] {
        assert_eq!(Tile::parse(address).unwrap_or_else(|| panic!("{address}")).to_string(), address);
    }
    for address in [
        "tile/0/0/000",
        "tile/31/0/000",
        "tile/08/0/000",
        "tile/8/64/000",
        "tile/8/0/00",
        "tile/8/0/x000",
        "tile/8/0/x000/001",
        "tile/8/0/000.p",
        "tile/8/0/000.p/0",
        "tile/8/0/000.p/256",
        "tile/8/0/000/x",
        "tile/8/0/000.p.p/3",
        "tile/8/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(Tile::parse(address), None, "{address}");
    }
}
