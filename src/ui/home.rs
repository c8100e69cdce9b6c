//! The start page: how to use this proxy, and what else is here.

use askama::Template;

/// `/`
#[derive(Template)]
#[template(path = "home.html")]
pub struct HomePage {
    pub registries: Vec<RegistryLine>,
}

/// A registry and what to write into GOPROXY for it.
pub struct RegistryLine {
    /// Empty where there is only one to choose from.
    pub title: String,
    pub address: String,
}

impl HomePage {
    /// `names` are the registries that the reader may see; `root` is the address by which they came, without a slash
    /// at its end. The default registry stands at the root itself.
    pub fn new(root: &str, default: &str, names: &[String]) -> HomePage {
        let line = |name: &String| RegistryLine {
            title: if names.len() > 1 { name.clone() } else { String::new() },
            address: if name == default { root.to_owned() } else { format!("{root}/registries/{name}") },
        };
        HomePage { registries: names.iter().map(line).collect() }
    }
}
