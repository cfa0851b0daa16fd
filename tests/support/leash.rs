//! Processes that cannot outlive the test that started them.
//!
//! A value's `Drop` is not enough: statics are never dropped, and a killed test runner drops
//! nothing. So a small shell stands between. It holds one end of a pipe whose other end is ours, and
//! when ours closes, for whatever reason, it kills the process and removes its folder.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

/// Starts `"$@"` with its output in `$log`, tells its process id, and ends it at the end of input.
/// The exit code is the process's own, if it ended by itself. Killing is no loss: all data that
/// these processes have is in the folder that goes with them.
const KEEPER: &str = r#"
folder=$1 log=$2; shift 2
ulimit -n "$(ulimit -H -n)"
"$@" >>"$log" 2>&1 &
child=$!
echo "$child"
cat >/dev/null
kill -KILL "$child" 2>/dev/null
wait "$child" 2>/dev/null
code=$?
rm -rf "$folder"
exit "$code"
"#;

/// A running process with a folder of its own. Dropping it kills the process.
pub(crate) struct Leashed {
    keeper: Child,
    pid: u32,
    folder: PathBuf,
    log: PathBuf,
}

impl Leashed {
    /// Starts `command`; its output goes to `log`, inside `folder`, which goes away with it.
    pub(crate) fn start(command: &Command, folder: TempDir, log: &str) -> Self {
        let folder = folder.keep();
        let log = folder.join(log);
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&folder).arg(&log);
        keeper.arg(command.get_program()).args(command.get_args()).current_dir(&folder);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => keeper.env(name, value),
                None => keeper.env_remove(name),
            };
        }
        // A group of its own: Ctrl-C reaches us, and them only through us.
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut keeper = keeper.spawn().expect("a shell to start");
        let mut pid = String::new();
        let mut answer = BufReader::new(keeper.stdout.take().expect("a piped output"));
        answer.read_line(&mut pid).expect("the process id");
        let pid = pid.trim().parse().expect("a process id");
        Self { keeper, pid, folder, log }
    }

    /// The id of the process itself.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Its folder, which is removed when it is dropped.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it still runs. One that ended stays a zombie until it is dropped.
    pub(crate) fn is_running(&self) -> bool {
        // The state follows the command's name, which is in brackets and may contain anything.
        fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// Sends a signal by its name, `TERM` for example.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own kill: there may be no program of that name.
        let sent = Command::new("/bin/sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "kill", name, &self.pid.to_string()])
            .status();
        assert!(sent.expect("a shell to start").success(), "SIG{name} to {}", self.pid);
    }

    /// Waits until it has ended by itself: its exit code and log, or `None` when it still runs.
    pub(crate) fn wait(mut self, patience: Duration) -> Option<(i32, String)> {
        let deadline = Instant::now() + patience;
        while self.is_running() {
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = self.log();
        drop(self.keeper.stdin.take());
        let status = self.keeper.wait().expect("the keeper's end");
        Some((status.code().unwrap_or(-1), log))
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Until the folder is gone too; an error means that `wait` was here before.
        let _ = self.keeper.wait();
    }
}
