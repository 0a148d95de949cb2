//! Runs the blocks `sh run` of each page as they are printed, compares their output with the block
//! `text` that follows, and checks the blocks `yaml check`.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use super::output::describes;
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

/// Written after each block, to tell what which of them has printed.
const END_OF_BLOCK: &str = "@@ end of block @@";

/// What the blocks `sh run` of a page have printed to both streams, or how they failed.
type Printed = Result<Vec<String>, String>;

/// Every page with its commands run, once for all tests of this file.
static RAN: LazyLock<Vec<(Page, Printed)>> = LazyLock::new(|| {
    let ran = |page: Page| {
        let printed = run(&page);
        (page, printed)
    };
    pages().into_iter().map(ran).collect()
});

/// The commands of a page in one script, with these addresses in the place of those on the page.
fn script_of(page: &Page, replacements: &[(String, String)]) -> String {
    let mut script = String::from("trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\nexec 2>&1\n");
    for block in page.blocks().iter().filter(|block| block.is_run()) {
        script += &block.text;
        script += &format!("printf '\\n%s\\n' '{END_OF_BLOCK}'\n");
    }
    for (from, to) in replacements {
        script = script.replace(from, to);
    }
    script
}

/// Runs the commands of a page, one after the other, in one shell.
fn run(page: &Page) -> Printed {
    let blocks = page.blocks();
    let commands: String =
        blocks.iter().filter(|block| block.is_run()).map(|block| &*block.text).collect();
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let replacements = replacements(&commands);
    let directory = TempDir::new().expect("a directory");
    let programs = TempDir::new().expect("a directory");
    put_program(programs.path(), &replacements);
    let path = std::env::var("PATH").unwrap_or_default();
    let libraries = Path::new(LIBRARIES);
    assert!(libraries.is_dir(), "{LIBRARIES} is missing: run scripts/install.sh test");
    let modules = directory.path().join("node_modules");
    symlink(libraries.join("node_modules"), modules).expect("a link");
    let ran = Command::new("timeout")
        .args(["120", "bash", "-euo", "pipefail", "-c", &script_of(page, &replacements)])
        .current_dir(directory.path())
        .env("PATH", format!("{}:{LIBRARIES}/venv/bin:{path}", programs.path().display()))
        .output()
        .expect("bash runs");
    let mut printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    if !ran.status.success() {
        let file = directory.path().join("gateway.log");
        let gateway = std::fs::read_to_string(file).unwrap_or_default();
        return Err(format!("{}\n{printed}\nthe gateway wrote:\n{gateway}", ran.status));
    }
    for (from, to) in &replacements {
        printed = printed.replace(to, from);
    }
    Ok(printed.split(END_OF_BLOCK).map(str::to_owned).collect())
}

#[test]
fn commands_of_each_page_work_as_they_are_printed() {
    let count = |page: &Page| page.blocks().iter().filter(|block| block.is_run()).count();
    let found: usize = RAN.iter().map(|(page, _)| count(page)).sum();
    assert!(found >= 10, "the commands were found");
    for (page, printed) in RAN.iter() {
        if let Err(failure) = printed {
            panic!("{}: {failure}", page.path.display());
        }
    }
}

#[test]
fn commands_print_what_their_page_shows() {
    let mut shown = 0;
    let mut differing = Vec::new();
    for (page, printed) in RAN.iter() {
        let Ok(printed) = printed else { panic!("{}: a command fails", page.path.display()) };
        let blocks = page.blocks();
        let followed = blocks.iter().zip(blocks.iter().skip(1).map(Some).chain([None]));
        let runs = followed.filter(|(block, _)| block.is_run());
        for ((_, next), printed) in runs.zip(printed) {
            let Some(output) = next.filter(|next| next.info == "text") else { continue };
            shown += 1;
            if !describes(&output.text, printed) {
                let path = page.path.display();
                differing.push(format!("{path} shows\n{}and it prints\n{printed}", output.text));
            }
        }
    }
    assert!(shown >= 20, "the output was found: {shown}");
    assert!(differing.is_empty(), "{}", differing.join("\n"));
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
