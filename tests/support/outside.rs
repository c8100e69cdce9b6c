//! The way out of the closed environment, to the module proxy that the machine's own settings name.

use std::process::Command;

use serde::Deserialize;

/// What `go env` says of the way to public modules.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct Outside {
    pub goproxy: String,
    pub gosumdb: String,
    pub gonosumdb: String,
    pub goprivate: String,
}

impl Outside {
    /// `Err` says why there is no way out.
    pub fn find() -> Result<Outside, String> {
        let variables = ["GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE"];
        let output = super::go::run(Command::new("go").args(["env", "-json"]).args(variables));
        let outside: Outside = serde_json::from_slice(&output.stdout).expect("go env prints json");
        match outside.first() {
            Some(_) => Ok(outside),
            None => Err(format!("GOPROXY names no module proxy first: {}", outside.goproxy)),
        }
    }

    /// The first member of GOPROXY, if it is a proxy.
    pub fn first(&self) -> Option<&str> {
        self.goproxy.split([',', '|']).next().filter(|first| first.starts_with("http"))
    }

    /// Lets a command out as the machine's own commands are let out.
    pub fn let_out(&self, command: &mut Command) {
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"] {
            command.env_remove(name);
        }
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC"]
        {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let exceptions = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).unwrap_or_default();
        command.env("NO_PROXY", format!("127.0.0.1,{exceptions}"));
        let netrc = std::env::home_dir().map(|home| home.join(".netrc")).filter(|file| file.is_file());
        if let (Some(file), None) = (netrc, std::env::var_os("NETRC")) {
            command.env("NETRC", file);
        }
        command.env("GOSUMDB", &self.gosumdb).env("GONOSUMDB", &self.gonosumdb).env("GOPRIVATE", &self.goprivate);
    }
}
