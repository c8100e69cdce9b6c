mod bench;
mod binding;
mod cached;
mod changes;
mod validity;
mod verdict;
mod walk;
