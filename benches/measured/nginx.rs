//! nginx handing out the same bytes from files: the yardstick for warm answers. It comes from the system's packages; a bench
//! that does not find it says so and leaves the comparison out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// How nginx is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Whether the kernel copies from file to socket.
    pub sendfile: bool,
    /// Whether every request leaves a line in a log.
    pub log: bool,
}

/// A running nginx; dropping it ends it.
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Nginx {
    /// Serves files: pairs of the path that is asked for and the bytes. `None`, and said, where there is no nginx.
    pub fn start(files: &[(&str, &[u8])], setup: Setup) -> Option<Nginx> {
        Nginx::start_with(files, setup, "")
    }

    /// The same with further lines of configuration for all that is served.
    pub fn start_with(files: &[(&str, &[u8])], setup: Setup, more: &str) -> Option<Nginx> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            println!("skip   no nginx on this machine: the comparison is left out");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, bytes) in files {
            let file = folder.path().join("files").join(path.trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().expect("a file in a folder")).expect("a writable folder");
            std::fs::write(file, bytes).expect("a writable folder");
        }
        open_to_workers(folder.path());
        let address = super::free_address();
        std::fs::write(folder.path().join("nginx.conf"), configuration(address, setup, more))
            .expect("a writable folder");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "errors.log"]);
        let child = command.stdin(Stdio::null()).spawn().expect("nginx starts");
        let nginx = Nginx { child, address, folder };
        nginx.wait();
        Some(nginx)
    }

    /// Until it answers: the master listens before there is a worker, and the workers are what is measured.
    fn wait(&self) {
        let until = Instant::now() + PATIENCE;
        while !self.answers() {
            let errors = std::fs::read_to_string(self.folder.path().join("errors.log")).unwrap_or_default();
            assert!(Instant::now() < until, "nginx does not listen: {errors}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address) else { return false };
        let asked = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.write_all(b"GET / HTTP/1.0\r\n\r\n"));
        asked.is_ok() && stream.read_exact(&mut [0]).is_ok()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The processes that answer.
    pub fn workers(&self) -> Vec<u32> {
        super::process::children(self.child.id())
    }
}

/// The workers run as another user where the bench runs as root.
fn open_to_workers(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("a folder of our own");
}

fn configuration(address: SocketAddr, setup: Setup, more: &str) -> String {
    let sendfile = if setup.sendfile { "on" } else { "off" };
    let log = if setup.log { "access.log" } else { "off" };
    format!(
        "daemon off;\nworker_processes auto;\npid nginx.pid;\nerror_log errors.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         \x20 access_log {log};\n\
         \x20 sendfile {sendfile};\n\
         \x20 tcp_nopush on;\n{more}\
         \x20 keepalive_requests 1000000000;\n\
         \x20 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
         \x20 uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         \x20 types {{}}\n  default_type application/json;\n\
         \x20 server {{ listen {address} backlog=511; root files; }}\n\
         }}\n"
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // By the master's own way: killed at once it would leave its workers behind.
        let mut stop = Command::new("nginx");
        stop.arg("-p").arg(self.folder.path()).args(["-c", "nginx.conf", "-e", "errors.log", "-s", "stop"]);
        if !stop.status().is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
