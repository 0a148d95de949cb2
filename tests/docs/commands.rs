//! Runs the blocks `sh run` of each page as they are printed, and checks the blocks `yaml check`.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::pages::{Page, pages};

/// The libraries in Python and JavaScript that guides use, as `scripts/interop.sh` installs them.
const LIBRARIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/interop");

const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

/// The ports that `portcullis init` writes; pages name others, too.
const PORTS_OF_INIT: [&str; 3] = ["8080", "9901", "9001"];

/// Every port of this machine that a script names, and a free one in its place: others may have those
/// on the machine that runs the tests.
fn replacements(script: &str) -> Vec<(String, String)> {
    let named = script.split("127.0.0.1:").skip(1);
    let named = named.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    let ports: BTreeSet<_> = named.chain(PORTS_OF_INIT.map(str::to_owned)).collect();
    let held: Vec<_> = ports.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    let free = held.iter().map(|listener| {
        let listener = listener.as_ref().expect("a free port");
        listener.local_addr().expect("its address").port().to_string()
    });
    let pairs = ports.iter().zip(free).filter(|(port, _)| !port.is_empty());
    let pair = |(port, free): (&String, String)| {
        let address = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{free}"));
        [address, (format!("--port {port}"), format!("--port {free}"))]
    };
    pairs.flat_map(pair).collect()
}

/// Puts a program in `directory` that writes these addresses into what `init` has written.
fn put_program(directory: &Path, replacements: &[(String, String)]) {
    let edits = replacements.iter().map(|(from, to)| format!("s/{from}/{to}/g;"));
    let edits: String = edits.collect();
    // The gateway itself takes the place of the script, so that it ends with the page.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = init ] || exec '{PROGRAM}' \"$@\"\n'{PROGRAM}' \"$@\" && sed -i '{edits}' gateway.yaml\n"
    );
    let program = directory.join("portcullis");
    std::fs::write(&program, script).expect("a file");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("a mode");
}

/// Runs the commands of a page, one after the other, in one shell.
fn run(page: &Page) {
    let blocks = page.blocks();
    let commands = blocks.iter().filter(|block| block.info == "sh run");
    let mut script: String = commands.map(|block| block.text.as_str()).collect();
    if script.is_empty() {
        return;
    }
    let replacements = replacements(&script);
    for (from, to) in &replacements {
        script = script.replace(from, to);
    }
    let directory = TempDir::new().expect("a directory");
    let programs = TempDir::new().expect("a directory");
    put_program(programs.path(), &replacements);
    let path = std::env::var("PATH").unwrap_or_default();
    let libraries = Path::new(LIBRARIES);
    assert!(libraries.is_dir(), "{LIBRARIES} is missing: run scripts/install.sh test");
    let modules = directory.path().join("node_modules");
    symlink(libraries.join("node_modules"), modules).expect("a link");
    let whole = format!("trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n{script}");
    let ran = Command::new("timeout")
        .args(["120", "bash", "-euo", "pipefail", "-c", &whole])
        .current_dir(directory.path())
        .env("PATH", format!("{}:{LIBRARIES}/venv/bin:{path}", programs.path().display()))
        .output()
        .expect("bash runs");
    let (out, errors) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let gateway = std::fs::read_to_string(directory.path().join("gateway.log")).unwrap_or_default();
    assert!(
        ran.status.success(),
        "{}: {}\n{out}\n{errors}\nthe gateway wrote:\n{gateway}",
        page.path.display(),
        ran.status
    );
}

#[test]
fn commands_of_each_page_work_as_they_are_printed() {
    let pages = pages();
    let count = |page: &Page| page.blocks().iter().filter(|block| block.info == "sh run").count();
    assert!(pages.iter().map(count).sum::<usize>() >= 10, "the commands were found");
    pages.iter().for_each(run);
}

#[test]
fn configurations_of_each_page_compile() {
    let mut found = 0;
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.info == "yaml check") {
            found += 1;
            let directory = TempDir::new().expect("a directory");
            let file = directory.path().join("gateway.yaml");
            std::fs::write(&file, &block.text).expect("a file");
            let ran = Command::new(PROGRAM).arg("check").arg("--config").arg(&file).output();
            let ran = ran.expect("it runs");
            let errors = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{}: {errors}", page.path.display());
        }
    }
    assert!(found >= 3, "the configurations were found");
}
