//! Warns of files of the gateway that others could read or change.

use std::path::{Path, PathBuf};

use crate::config::{AdminToken, Settings};
use crate::feed::last_good::LastGoodFiles;
use crate::private_files;
use crate::store::settings::StoreSettings;

/// Warns of each file that the gateway writes and that others can access, with a remedy. The mode
/// is not changed here: the operator may have set it on purpose.
pub(super) fn warn(settings: &Settings) {
    for exposure in places(settings).iter().filter_map(|path| private_files::exposure(path)) {
        tracing::warn!("{exposure}");
    }
}

/// Every file and directory that the gateway writes, whether it exists or not.
fn places(settings: &Settings) -> Vec<PathBuf> {
    let mut places = vec![settings.data_directory.clone()];
    if let StoreSettings::Embedded { path } = &settings.store {
        let directory = path.parent().unwrap_or(Path::new("."));
        places.extend([directory.to_owned(), path.clone()]);
    }
    if let AdminToken::Kept(file) = &settings.admin.token {
        places.push(file.clone());
    }
    let fetched = settings.fetched_issuers();
    places.extend(LastGoodFiles::below(&settings.data_directory).places(fetched));
    places.extend(settings.audit_log.clone());
    places.sort_unstable();
    places.dedup();
    places
}
