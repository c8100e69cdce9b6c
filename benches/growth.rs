//! How a server grows with what it keeps: 1,000, 10,000 and 100,000 versions, and 10, 100 and 1,000 git repositories. When
//! it listens and answers, what it takes of memory, how long answers take, and what looks at everything costs.
//!
//! `cargo bench --bench growth`; the tables of docs/performance.md are made of what it prints. The stores are filled once,
//! by a server that is asked for every file of every version, and kept below cargo's folder for such files. It ends with
//! an error where memory grows with what is kept or asked.

mod growing;
mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use measured::is_wanted;

/// Versions in each store; the larger is the smaller one, filled on.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const REPOSITORIES: [usize; 3] = [10, 100, 1_000];

fn main() {
    if is_wanted("versions") {
        growing::versions::measure(&SIZES);
    }
    if is_wanted("unknown") {
        growing::unknown::measure();
    }
    if is_wanted("repositories") {
        growing::repositories::measure(&REPOSITORIES);
    }
}
