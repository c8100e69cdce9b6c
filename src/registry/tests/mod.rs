mod binding;

mod cached;
mod verdict;
mod walk;
