//! From a revision to its one right version.
//! Must not know of IO, clocks, async, or HTTP.
//! Rules: docs/protocol.md and `cmd/go/internal/modfetch/coderepo.go`.

pub mod mode;
