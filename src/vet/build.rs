//! The module zip of a version: which files of the tree go in, under which names.
//! Rules: `Zip` in `cmd/go/internal/modfetch/coderepo.go`; what a zip may hold is `spec::zip`'s.
//! The go command also refuses a module whose go line is newer than itself; modvet has no such limit.

