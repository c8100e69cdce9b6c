//! The way of lines to standard error: each by itself, or all at once that a busy thread has written since it last
//! slept. A write for each line costs as much as a small answer.

use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// So many bytes are gathered at most.
const MOST: usize = 32 * 1024;

/// What follows another line within this time may wait for the next sleep. Where little is asked nothing waits.
const CLOSELY: Duration = Duration::from_millis(1);

thread_local! {
    static GATHERED: RefCell<Gathered<io::Stderr>> = RefCell::new(Gathered::new(io::stderr()));
}

/// Writes down what this thread has gathered. To be called before a thread of the runtime sleeps: the lines of one
/// that never does are not kept waiting.
pub fn before_sleep() {
    // A thread that ends has written them down itself, and there is no other place to say what cannot be written here.
    let _ = GATHERED.try_with(|gathered| {
        let mut gathered = gathered.borrow_mut();
        gathered.is_heard = true;
        gathered.write_down()
    });
}

/// Where the log goes.
pub(super) struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { may_wait: false }
    }

    /// What is wrong is said at once, and all before it.
    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        Line { may_wait: *metadata.level() > Level::WARN }
    }
}

/// One line, which comes whole.
pub(super) struct Line {
    may_wait: bool,
}

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let taken = GATHERED.try_with(|gathered| gathered.borrow_mut().take(line, self.may_wait));
        taken.unwrap_or_else(|_| io::Write::write_all(&mut io::stderr(), line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What one thread has gathered.
struct Gathered<W: io::Write> {
    lines: Vec<u8>,
    /// This thread says before it sleeps.
    is_heard: bool,
    last: Option<Instant>,
    to: W,
}

impl<W: io::Write> Gathered<W> {
    fn new(to: W) -> Gathered<W> {
        Gathered { lines: Vec::new(), is_heard: false, last: None, to }
    }

    fn take(&mut self, line: &[u8], may_wait: bool) -> io::Result<()> {
        if !self.is_heard {
            return self.to.write_all(line);
        }
        let now = Instant::now();
        let follows = self.last.replace(now).is_some_and(|last| now.duration_since(last) < CLOSELY);
        let waits = may_wait && follows;
        if !waits && self.lines.is_empty() {
            return self.to.write_all(line);
        }
        self.lines.extend_from_slice(line);
        match waits && self.lines.len() < MOST {
            true => Ok(()),
            false => self.write_down(),
        }
    }

    fn write_down(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let written = self.to.write_all(&self.lines);
        self.lines.clear();
        written
    }
}

impl<W: io::Write> Drop for Gathered<W> {
    fn drop(&mut self) {
        // There is nobody left to be told.
        let _ = self.write_down();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each write as it came.
    #[derive(Default)]
    struct Writes(std::rc::Rc<RefCell<Vec<String>>>);

    impl io::Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gathered() -> (Gathered<Writes>, std::rc::Rc<RefCell<Vec<String>>>) {
        let writes = Writes::default();
        let seen = writes.0.clone();
        (Gathered::new(writes), seen)
    }

    /// As if the line before had come just now, however slow this machine is.
    fn busy(gathered: &mut Gathered<Writes>) {
        gathered.last = Some(Instant::now() + CLOSELY);
    }

    #[test]
    fn a_thread_that_does_not_say_when_it_sleeps_keeps_no_line() {
        let (mut gathered, seen) = gathered();
        for line in ["one\n", "two\n"] {
            busy(&mut gathered);
            gathered.take(line.as_bytes(), true).expect("written");
        }
        assert_eq!(*seen.borrow(), ["one\n", "two\n"]);
    }

    #[test]
    fn lines_that_follow_closely_go_together_before_the_thread_sleeps() {
        let (mut gathered, seen) = gathered();
        gathered.is_heard = true;
        gathered.take(b"first\n", true).expect("written");
        assert_eq!(*seen.borrow(), ["first\n"], "where nothing came before, nothing waits");
        for line in ["one\n", "two\n"] {
            busy(&mut gathered);
            gathered.take(line.as_bytes(), true).expect("taken");
        }
        assert_eq!(seen.borrow().len(), 1);
        gathered.write_down().expect("written");
        gathered.write_down().expect("nothing is left");
        assert_eq!(*seen.borrow(), ["first\n", "one\ntwo\n"]);
    }

    #[test]
    fn what_is_wrong_is_said_at_once_and_behind_what_came_before() {
        let (mut gathered, seen) = gathered();
        gathered.is_heard = true;
        for (line, may_wait) in [("one\n", true), ("wrong\n", false), ("two\n", true)] {
            busy(&mut gathered);
            gathered.take(line.as_bytes(), may_wait).expect("taken");
        }
        assert_eq!(*seen.borrow(), ["one\nwrong\n"]);
        drop(gathered);
        assert_eq!(*seen.borrow(), ["one\nwrong\n", "two\n"], "a thread that ends loses nothing");
    }

    #[test]
    fn no_more_is_gathered_than_is_said() {
        let (mut gathered, seen) = gathered();
        gathered.is_heard = true;
        let line = [b'x'; 1024];
        for _ in 0..MOST / line.len() {
            busy(&mut gathered);
            gathered.take(&line, true).expect("taken");
        }
        assert_eq!(seen.borrow().iter().map(String::len).collect::<Vec<_>>(), [MOST]);
    }
}
