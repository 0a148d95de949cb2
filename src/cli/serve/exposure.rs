//! Warns of files of the gateway that others could read or change.

use std::path::{Path, PathBuf};

use crate::config::AdminToken;
use crate::feed::last_good::LastGoodFiles;
use crate::private_files;
use crate::runtime::Running;
use crate::store::settings::StoreSettings;

/// Warns of everything that the gateway writes and that is not its alone, each with what mends it. A
/// mode is not changed here: whoever gave it may have meant it.
pub(super) fn warn(configuration: &Running) {
    for exposure in places(configuration).iter().filter_map(|path| private_files::exposure(path)) {
        tracing::warn!("{exposure}");
    }
}

/// Every file and directory that the gateway writes, whether it exists or not.
fn places(configuration: &Running) -> Vec<PathBuf> {
    let mut places = vec![configuration.settings.data_directory.clone()];
    if let StoreSettings::Embedded { path } = &configuration.settings.store {
        let directory = path.parent().unwrap_or(Path::new("."));
        places.extend([directory.to_owned(), path.clone()]);
    }
    if let AdminToken::Kept(file) = &configuration.settings.admin.token {
        places.push(file.clone());
    }
    let fetched = configuration.key_feeds.iter().map(|feed| &*feed.issuer);
    places.extend(LastGoodFiles::below(&configuration.settings.data_directory).places(fetched));
    places.extend(configuration.settings.audit_log.clone());
    places.sort_unstable();
    places.dedup();
    places
}
