mod cached;
mod walk;
