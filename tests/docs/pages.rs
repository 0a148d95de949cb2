//! The pages, and the fenced blocks in them.

use std::path::{Path, PathBuf};

/// A page of the documentation.
pub(super) struct Page {
    /// Where it is, from the root of the repository.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A fenced block: what stands behind the fence, and its lines.
pub(super) struct Block<'t> {
    pub(super) info: &'t str,
    pub(super) text: String,
}

impl Block<'_> {
    /// Whether it is a command that the tests run.
    pub(super) fn is_run(&self) -> bool {
        self.info == "sh run"
    }
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and its companions, and everything below docs/.
pub(super) fn pages() -> Vec<Page> {
    let mut paths: Vec<_> = ["README", "SECURITY", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG"]
        .map(|name| root().join(name).with_extension("md"))
        .into();
    find(&root().join("docs"), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a page");
        let path = path.strip_prefix(root()).expect("it is below").to_owned();
        Page { path, text }
    };
    paths.into_iter().map(read).collect()
}

fn find(directory: &Path, pages: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

impl Page {
    /// Its fenced blocks, in order.
    pub(super) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(info), None) => open = Some(Block { info, text: String::new() }),
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => {
                    block.text += line;
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block does not end", self.path.display());
        blocks
    }

    /// Its lines outside of fenced blocks.
    pub(super) fn prose(&self) -> impl Iterator<Item = &str> {
        let mut is_code = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.starts_with("```");
            is_code ^= is_fence;
            !is_fence && !is_code
        })
    }
}
