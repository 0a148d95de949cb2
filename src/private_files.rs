//! Files that are the gateway's alone: how they are made, and what those that exist give away.

use std::fmt;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The mode of a file: only its owner has access.
const FILE_MODE: u32 = 0o600;
/// The same for a directory.
const DIRECTORY_MODE: u32 = 0o700;
/// What group and others may do with a file or a directory.
const OTHERS_MODE: u32 = 0o077;
/// The part of a mode that says who may do what.
const PERMISSIONS_MODE: u32 = 0o777;

/// Creates a directory and its missing parents, for their owner only. Existing ones stay as they
/// are.
///
/// # Errors
///
/// If it cannot be created.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)
}

/// The options to open a file for writing. A file that this creates is accessible to its owner
/// only.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

/// Creates a file if there is none. Readers never see a part of it. `false`: the file exists
/// already and is left unchanged, however many processes do this at once.
///
/// # Errors
///
/// If the directory cannot be written.
pub fn create(file: &Path, contents: &[u8]) -> io::Result<bool> {
    let beside = write_beside(file, contents)?;
    // Unlike a renamed file, a link never takes the place of another.
    let linked = std::fs::hard_link(&beside, file);
    let removed = std::fs::remove_file(&beside);
    match linked {
        Ok(()) => removed.and_then(|()| sync_directory_of(file)).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Replaces a file, or creates it. Readers see all of the new contents or none.
///
/// # Errors
///
/// If the directory cannot be written.
pub fn replace(file: &Path, contents: &[u8]) -> io::Result<()> {
    let beside = write_beside(file, contents)?;
    if let Err(error) = std::fs::rename(&beside, file) {
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    sync_directory_of(file)
}

/// Writes a new file with these contents in the same directory, under a random, unused name.
fn write_beside(file: &Path, contents: &[u8]) -> io::Result<PathBuf> {
    let name = file.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = file.with_file_name(format!(".{name}.{:016x}", fastrand::u64(..)));
    let written = options().write(true).create_new(true).open(&beside).and_then(|mut out| {
        out.write_all(contents)?;
        out.sync_all()
    });
    match written {
        Ok(()) => Ok(beside),
        Err(error) => {
            if error.kind() != ErrorKind::AlreadyExists {
                let _ = std::fs::remove_file(&beside);
            }
            Err(error)
        }
    }
}

/// Makes the name of a file as durable as its contents.
fn sync_directory_of(file: &Path) -> io::Result<()> {
    let directory = match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        Some(_) | None => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

/// Who else may use a file that should belong to this process alone, and the command that changes
/// that. `None`: no other user may. The group may read a directory: that reveals only names.
pub fn others(metadata: &Metadata) -> Option<(String, String)> {
    if let Some(own) = user()
        && metadata.uid() != own
    {
        let fact = format!("its owner is user {}, and the gateway is user {own}", metadata.uid());
        return Some((fact, format!("chown {own}")));
    }
    let (tolerated, right) = match metadata.is_dir() {
        true => (0o050, DIRECTORY_MODE),
        false => (0, FILE_MODE),
    };
    let mode = metadata.mode() & PERMISSIONS_MODE;
    let is_exposed = mode & OTHERS_MODE & !tolerated != 0;
    is_exposed.then(|| (format!("its mode is {mode:04o}"), format!("chmod {right:o}")))
}

/// A file or a directory that is not the gateway's alone, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    path: PathBuf,
    fact: String,
    remedy: String,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, fact, remedy } = self;
        let path = path.display();
        write!(f, "others can read or change {path}: {fact}. Run: {remedy} {path}")
    }
}

/// Whether users other than the gateway's may read or change the file or directory at `path`. One
/// that does not exist, or cannot be examined, is not exposed.
pub fn exposure(path: &Path) -> Option<Exposure> {
    let metadata = std::fs::metadata(path).ok()?;
    // An audit log may be a device, whose permissions are not checked.
    if !metadata.is_file() && !metadata.is_dir() {
        return None;
    }
    let (fact, remedy) = others(&metadata)?;
    Some(Exposure { path: path.to_owned(), fact, remedy })
}

/// The effective user of this process, where the system tells it.
fn user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    // Real, effective, saved, file system.
    ids.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;

    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("a file").mode() & PERMISSIONS_MODE
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn what_is_made_is_its_owners_only() {
        let directory = directory();
        let below = directory.path().join("a/b");
        create_directory(&below).expect("directories");
        let (new, replaced) = (below.join("new"), below.join("replaced"));
        assert!(create(&new, b"1").expect("a file"));
        std::fs::write(&replaced, "old").expect("a file");
        set_mode(&replaced, 0o666);
        replace(&replaced, b"2").expect("a file");
        assert_eq!((mode(&new), mode(&replaced)), (0o600, 0o600));
        assert_eq!((mode(&below), mode(&directory.path().join("a"))), (0o700, 0o700));
        assert_eq!(std::fs::read(&replaced).expect("a file"), b"2");
        assert_eq!(std::fs::read_dir(&below).expect("a list").count(), 2, "nothing is left over");
    }

    #[test]
    fn file_that_is_there_is_left_alone() {
        let directory = directory();
        let file = directory.path().join("file");
        assert!(create(&file, b"first").expect("a file"));
        assert!(!create(&file, b"second").expect("an answer"));
        assert_eq!(std::fs::read(&file).expect("a file"), b"first");
    }

    #[test]
    fn of_many_who_create_a_file_at_once_one_does() {
        let directory = directory();
        let file = directory.path().join("file");
        let barrier = Barrier::new(8);
        let made: Vec<_> = std::thread::scope(|scope| {
            let create = |number: usize| {
                let contents = vec![b'0' + number as u8; 100_000];
                barrier.wait();
                let made = create(&file, &contents).expect("an answer");
                // A reader that finds the file finds all of it.
                let found = std::fs::read(&file).expect("a file");
                assert!(found.len() == 100_000 && found.iter().all(|byte| *byte == found[0]));
                (made, found[0])
            };
            let threads: Vec<_> =
                (0..8).map(|number| scope.spawn(move || create(number))).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        assert_eq!(made.iter().filter(|(made, _)| *made).count(), 1);
        assert!(made.iter().all(|(_, found)| *found == made[0].1), "{made:?}");
    }

    #[test]
    fn file_that_anybody_else_may_use_is_exposed() {
        let directory = directory();
        let file = directory.path().join("file");
        assert_eq!(exposure(&file), None, "it is not there");
        assert_eq!(exposure(Path::new("/dev/null")), None, "it is everybody's");
        std::fs::write(&file, "").expect("a file");
        for (mode, told) in [(0o600, false), (0o400, false), (0o640, true), (0o602, true)] {
            set_mode(&file, mode);
            assert_eq!(exposure(&file).is_some(), told, "{mode:o}");
        }
        let told = exposure(&file).expect("an exposure").to_string();
        let shown = file.display();
        assert!(told.starts_with(&format!("others can read or change {shown}: ")), "{told}");
        assert!(told.contains("mode is 0602") && told.ends_with(&format!("chmod 600 {shown}")));
    }

    #[test]
    fn directory_may_be_read_by_its_group_and_changed_by_nobody() {
        let directory = directory();
        for (mode, told) in [(0o700, false), (0o750, false), (0o770, true), (0o755, true)] {
            set_mode(directory.path(), mode);
            let found = exposure(directory.path());
            assert_eq!(found.is_some(), told, "{mode:o}: {found:?}");
            let told = found.map(|found| found.to_string()).unwrap_or("chmod 700 /".to_owned());
            assert!(told.contains("chmod 700 /"), "{told}");
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_exposed() {
        // Only root can give a file away. For every other user, a file of root belongs to another
        // user.
        let own = user().expect("a user");
        let directory = directory();
        let path = match own {
            0 => {
                std::os::unix::fs::chown(directory.path(), Some(1), None).expect("root may");
                directory.path()
            }
            _ => Path::new("/etc/passwd"),
        };
        let told = exposure(path).expect("an exposure").to_string();
        assert!(told.contains(&format!("chown {own} /")), "{told}");
    }
}
