mod bench;
mod cached;
mod changes;
mod validity;
mod verdict;
mod walk;
