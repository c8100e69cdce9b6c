mod binding;

mod cached;
mod private;
mod steps;
mod verdict;
mod walk;
