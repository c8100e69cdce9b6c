mod cached;
mod verdict;
mod walk;
