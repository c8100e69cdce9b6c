//! The way out of the closed environment, to the module proxy that the machine's own settings name.

use std::process::Command;

use serde::Deserialize;

use super::go::Go;
use super::project::{self, Project, Ran};

/// Public modules that are small and need little; which of them are served is found out first.
const CANDIDATES: [&str; 44] = [
    "github.com/BurntSushi/toml@v1.4.0",
    "github.com/Masterminds/semver/v3@v3.2.1",
    "github.com/cespare/xxhash/v2@v2.3.0",
    "github.com/davecgh/go-spew@v1.1.1",
    "github.com/dgrijalva/jwt-go@v3.2.0+incompatible",
    "github.com/dustin/go-humanize@v1.0.1",
    "github.com/fatih/color@v1.17.0",
    "github.com/go-chi/chi/v5@v5.1.0",
    "github.com/go-logr/logr@v1.4.2",
    "github.com/golang/protobuf@v1.5.4",
    "github.com/google/btree@v1.1.2",
    "github.com/google/go-cmp@v0.6.0",
    "github.com/google/uuid@v1.6.0",
    "github.com/gorilla/mux@v1.8.1",
    "github.com/hashicorp/golang-lru/v2@v2.0.7",
    "github.com/inconshreveable/mousetrap@v1.1.0",
    "github.com/json-iterator/go@v1.1.12",
    "github.com/julienschmidt/httprouter@v1.3.0",
    "github.com/kr/pretty@v0.3.1",
    "github.com/kr/text@v0.2.0",
    "github.com/mattn/go-isatty@v0.0.20",
    "github.com/modern-go/concurrent@v0.0.0-20180306012644-bacd9c7ef1dd",
    "github.com/modern-go/reflect2@v1.0.2",
    "github.com/pkg/errors@v0.9.1",
    "github.com/pmezard/go-difflib@v1.0.0",
    "github.com/rogpeppe/go-internal@v1.12.0",
    "github.com/sirupsen/logrus@v1.9.3",
    "github.com/spf13/cobra@v1.8.1",
    "github.com/spf13/pflag@v1.0.5",
    "github.com/stretchr/testify@v1.9.0",
    "go.uber.org/atomic@v1.11.0",
    "go.uber.org/multierr@v1.11.0",
    "golang.org/x/mod@v0.19.0",
    "golang.org/x/oauth2@v0.21.0",
    "golang.org/x/sync@v0.7.0",
    "golang.org/x/sys@v0.22.0",
    "golang.org/x/term@v0.22.0",
    "golang.org/x/time@v0.5.0",
    "golang.org/x/xerrors@v0.0.0-20231012003039-104605ab7028",
    "gopkg.in/check.v1@v0.0.0-20161208181325-20d25e280405",
    "gopkg.in/ini.v1@v1.67.0",
    "gopkg.in/yaml.v2@v2.4.0",
    "gopkg.in/yaml.v3@v3.0.1",
    "rsc.io/quote@v1.5.2",
];

/// So many must be served for a test over them to mean something.
pub const ENOUGH: usize = 30;

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

    /// The candidates that the machine's proxy serves; `Err` if it cannot be reached.
    pub fn served(&self, go: &Go) -> Result<Vec<String>, String> {
        let project = Project::new(go, &self.goproxy);
        let arguments = [&["mod", "download", "-json"][..], &CANDIDATES].concat();
        let ran = project::run(&mut self.command(&project, &arguments));
        let probed = serde_json::Deserializer::from_str(&ran.stdout).into_iter::<Probed>();
        let probed: Vec<Probed> = probed.map(|module| module.expect("go prints json")).collect();
        let (served, refused): (Vec<_>, Vec<_>) = probed.into_iter().partition(|module| module.error.is_empty());
        for module in &refused {
            println!("refused: {}", module.error);
        }
        match refused.first() {
            Some(first) if served.is_empty() => Err(first.error.clone()),
            _ => Ok(served.into_iter().map(|module| format!("{}@{}", module.path, module.version)).collect()),
        }
    }

    /// Downloads modules into an empty cache, in a project that requires them all, and has the cache verified; gives
    /// back its go.sum.
    pub fn download(&self, go: &Go, proxy: &str, modules: &[String], go_sum: &str) -> Result<String, Ran> {
        let project = Project::new(go, proxy);
        let require: String = modules.iter().map(|module| format!("\t{}\n", module.replace('@', " "))).collect();
        project.write("go.mod", &format!("module example.test/app\n\ngo 1.26\n\nrequire (\n{require})\n"));
        project.write("go.sum", go_sum);
        let arguments: Vec<&str> = ["mod", "download"].into_iter().chain(modules.iter().map(String::as_str)).collect();
        let ran = project::run(&mut self.command(&project, &arguments));
        if !ran.success {
            return Err(ran);
        }
        let verified = project::run(&mut self.command(&project, &["mod", "verify"]));
        if verified.success { Ok(project.read("go.sum")) } else { Err(verified) }
    }

    /// A go command in a project that is let out.
    fn command(&self, project: &Project<'_>, arguments: &[&str]) -> Command {
        let mut command = project.command(arguments);
        self.let_out(&mut command);
        command
    }
}

/// What `go mod download -json` says of one module.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Probed {
    path: String,
    version: String,
    error: String,
}
