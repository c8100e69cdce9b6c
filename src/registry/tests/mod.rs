mod bench;
mod binding;
mod cached;
mod changes;
mod direct;
mod validity;
mod verdict;
mod walk;
